//! The one way in which every scenario of this binary is checked.

use kode_testkit::scenario::Scenario;

/// Plays the script, with its invariants, and compares all that was told with the snapshot of that name.
pub(crate) fn check(name: &str, script: &str) {
    let told = Scenario::run(script);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, told);
    });
}
