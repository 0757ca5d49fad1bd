//! Jobs, one after the other, until all kills of the plan are done.

use super::job::{Job, LIMIT};
use super::outside::{Form, Outside};
use super::plan::{Act, Plan};
use snapline_testkit::services::skip;

/// Lets jobs of these forms, or of the one of the environment, write to one place after the other.
pub(crate) fn run<O: Outside>(start: impl FnOnce() -> Result<O, String>, forms: &[Form]) {
    let Ok(mut outside) = start().map_err(skip) else {
        return;
    };
    let forms = chosen(forms);
    let checkpoints = tempfile::tempdir().unwrap();
    let mut plan = Plan::read(outside.can_restart());
    let mut kills = vec![0; forms.len()];
    for round in 0.. {
        if plan.is_done() {
            return;
        }
        let turn = round % forms.len();
        let (form, name) = (forms[turn], format!("rows_{round}"));
        let job = Job {
            form,
            place: outside.prepare(form, &name),
            checkpoints: checkpoints.path().join(&name),
            name,
        };
        kills[turn] += run_one(&job, &mut outside, &mut plan);
        println!("round {round}, {form:?}: every row once; {plan}, kills by form {forms:?} {kills:?}");
    }
}

fn chosen(forms: &[Form]) -> Vec<Form> {
    let Ok(wanted) = std::env::var("SNAPLINE_CHAOS_FORM") else {
        return forms.to_vec();
    };
    let chosen = forms.iter().filter(|form| form.name() == wanted);
    let chosen: Vec<_> = chosen.copied().collect();
    assert!(!chosen.is_empty(), "there is no form {wanted} among {forms:?}");
    chosen
}

/// Runs a job to its end. How often it was killed.
fn run_one(job: &Job, outside: &mut impl Outside, plan: &mut Plan) -> u64 {
    let mut kills = 0;
    let mut running = job.start();
    while let Some((act, after)) = plan.next() {
        if running.ends_within(after) {
            break;
        }
        match act {
            Act::Kill => {
                kills += 1;
                running.kill();
                running = job.start();
            }
            Act::Restart => outside.restart(),
        }
        plan.done(act);
    }
    running.finish();
    outside.assert_exactly_once(job.form, &job.name);
    // Everything is done already, and nothing may change.
    let mut again = job.start();
    assert!(again.ends_within(LIMIT), "a job that is done does not end");
    outside.assert_exactly_once(job.form, &job.name);
    kills
}
