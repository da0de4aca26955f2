//! The programs in the kernel, one frame at a time.

use kxdns_tests::frames::{Family, Query, open_reply};
use kxdns_tests::program::{Hook, Programs};

#[test]
fn loads_and_answers() {
    let mut programs = Programs::load().unwrap();
    programs
        .put("web-service.default.svc.cluster.local", Some([10, 107, 37, 188]), None)
        .unwrap();
    for hook in Hook::ALL {
        println!("{hook:?}: {:?}", programs.instructions(hook).unwrap());
        for family in Family::ALL {
            let frame = Query::new("web-service.default.svc.cluster.local", 1).frame(family);
            let visit = programs.run(hook, &frame).unwrap();
            assert!(visit.answered, "{:?} {hook:?} {family:?}", programs.counts.read());
            let message = open_reply(&frame, &visit.frame);
            println!("{message:02x?}");
        }
    }
}
