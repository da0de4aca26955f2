//! A question as it goes over the wire, with every header bit and option that a client may set.

use std::fmt;

use domain::base::Rtype;

/// The header's RD bit.
pub const RD: u16 = 0x0100;
/// The header's bit that has no meaning yet.
pub const Z: u16 = 0x0040;
/// The header's AD bit.
pub const AD: u16 = 0x0020;
/// The header's CD bit.
pub const CD: u16 = 0x0010;

/// The longest name, in bytes on the wire.
const MAX_NAME: usize = 255;
/// The length of a reply that every client can take.
const SMALLEST_LIMIT: u16 = 512;

/// A name: its labels, which may hold any bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub Vec<Vec<u8>>);

impl Name {
    /// Reads labels between dots.
    pub fn new(text: &str) -> Name {
        let labels = text.split('.').filter(|label| !label.is_empty());
        Name(labels.map(|label| label.as_bytes().to_vec()).collect())
    }

    /// Whether it fits into a message.
    pub fn is_valid(&self) -> bool {
        let length: usize = self.0.iter().map(|label| label.len() + 1).sum();
        length < MAX_NAME && self.0.iter().all(|label| (1..=63).contains(&label.len()))
    }

    /// Writes it, without compression.
    pub fn write(&self, message: &mut Vec<u8>) {
        for label in &self.0 {
            message.push(label.len() as u8);
            message.extend(label);
        }
        message.push(0);
    }

    /// Whether a word stands in the first label, between dashes, in any letter case.
    pub fn has_word(&self, word: &str) -> bool {
        let mut words = self
            .0
            .first()
            .into_iter()
            .flat_map(|label| label.split(|byte| *byte == b'-'));
        words.any(|own| own.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The labels in lower case, with dots.
    pub fn lower(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in &self.0 {
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(formatter, "\\{}", char::from(*byte))?,
                    b'!'..=b'~' => write!(formatter, "{}", char::from(*byte))?,
                    _ => write!(formatter, "\\{byte:03}")?,
                }
            }
            write!(formatter, ".")?;
        }
        if self.0.is_empty() {
            write!(formatter, ".")
        } else {
            Ok(())
        }
    }
}

/// The OPT record of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The UDP size that is advertised.
    pub size: u16,
    /// The version, of which 0 is known.
    pub version: u8,
    /// DO and the bits beside it.
    pub flags: u16,
    /// The code and data of each option.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// All of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type.
    pub rtype: u16,
    /// The class.
    pub class: u16,
    /// The opcode.
    pub opcode: u8,
    /// RD, Z, AD and CD.
    pub flags: u16,
    /// The OPT record.
    pub edns: Option<Edns>,
    /// Whether it goes over TCP.
    pub tcp: bool,
}

impl Question {
    /// A plain question over UDP.
    pub fn plain(name: &str, rtype: Rtype) -> Question {
        Question {
            name: Name::new(name),
            rtype: rtype.to_int(),
            class: 1,
            opcode: 0,
            flags: RD,
            edns: None,
            tcp: false,
        }
    }

    /// How many bytes a reply over UDP may have (RFC 6891, 6.2.3).
    pub fn limit(&self) -> usize {
        let advertised = self.edns.as_ref().map_or(0, |edns| edns.size);
        usize::from(advertised.max(SMALLEST_LIMIT))
    }

    /// The message.
    pub fn to_message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(128);
        let header = [
            id,
            u16::from(self.opcode) << 11 | self.flags,
            1,
            0,
            0,
            u16::from(self.edns.is_some()),
        ];
        message.extend(header.iter().flat_map(|field| field.to_be_bytes()));
        self.name.write(&mut message);
        message.extend(self.rtype.to_be_bytes());
        message.extend(self.class.to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.write(&mut message);
        }
        message
    }
}

impl Edns {
    fn write(&self, message: &mut Vec<u8>) {
        message.extend([0, 0, 41]);
        message.extend(self.size.to_be_bytes());
        message.extend([0, self.version]);
        message.extend(self.flags.to_be_bytes());
        let length: usize = self.options.iter().map(|(_, data)| data.len() + 4).sum();
        message.extend((length as u16).to_be_bytes());
        for (code, data) in &self.options {
            message.extend(code.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(data);
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rtype = Rtype::from_int(self.rtype);
        let transport = if self.tcp { "TCP" } else { "UDP" };
        write!(formatter, "{} {rtype} over {transport}", self.name)?;
        if (self.class, self.opcode) != (1, 0) {
            write!(formatter, ", class {}, opcode {}", self.class, self.opcode)?;
        }
        for (bit, name) in [(RD, "RD"), (Z, "Z"), (AD, "AD"), (CD, "CD")] {
            if self.flags & bit != 0 {
                write!(formatter, " +{name}")?;
            }
        }
        match &self.edns {
            Some(edns) => write!(
                formatter,
                " EDNS {} size {} flags {:04x} options {:?}",
                edns.version, edns.size, edns.flags, edns.options
            ),
            None => Ok(()),
        }
    }
}
