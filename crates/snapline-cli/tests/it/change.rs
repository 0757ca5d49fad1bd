//! Commands that write.

use crate::look::{exported, ids, incremental};
use crate::support::{Home, RARELY, counts_of, many_words, snapline};
use snapline::core::{ClaimMode, MaxParallelism};

#[test]
fn a_copy_stands_by_itself() {
    let home = incremental();
    std::fs::create_dir(home.path("backup")).unwrap();
    let copy = home.text("backup/copy");
    snapline(["checkpoint", "copy", &home.checkpoints(), &copy]).with_code(0);
    snapline(["checkpoint", "copy", &home.checkpoints(), &copy])
        .error(2, &["there is a savepoint at this path already"]);
    let original = snapline(["checkpoint", "export", &home.checkpoints()]).out;
    std::fs::remove_dir_all(home.path("checkpoints")).unwrap();
    snapline(["savepoint", "verify", &copy]).with_code(0);
    assert_eq!(snapline(["savepoint", "export", &copy]).out, original);

    let again = home.text("backup/again");
    snapline(["savepoint", "copy", &copy, &again]).with_code(0);
    snapline(["savepoint", "diff", &copy, &again]).with_code(0);
    snapline(["savepoint", "delete", &copy]).error(2, &["--yes"]);
    snapline(["savepoint", "delete", &copy, "--yes"]).with_code(0);
    snapline(["savepoint", "verify", &copy]).error(2, &["no savepoint"]);
    snapline(["savepoint", "verify", &again]).with_code(0);
}

#[test]
fn a_checkpoint_that_a_newer_one_needs_is_not_deleted() {
    let home = incremental();
    let ids_before = ids(&home);
    let storage = home.checkpoints();
    let delete = |id: u64| snapline(["checkpoint", "delete", &storage, &id.to_string(), "--yes"]);
    delete(ids_before[0]).error(2, &["newest checkpoint"]);
    delete(999_999).error(2, &["no such checkpoint"]);
    let document = snapline(["checkpoint", "inspect", &storage, "--json"]).json();
    let files = document["files"].as_array().unwrap();
    let needed: Vec<u64> = ids_before[1..]
        .iter()
        .copied()
        .filter(|id| {
            let inherited = format!("inherited from a1-e{id}");
            files.iter().any(|row| row["origin"] == inherited.as_str())
        })
        .collect();
    assert!(!needed.is_empty(), "{files:#?}");
    for id in &needed {
        delete(*id).error(2, &["newer checkpoint has taken files", "newer checkpoint:"]);
    }
    snapline(["checkpoint", "verify", &storage]).with_code(0);
}

#[test]
fn a_job_goes_on_when_a_checkpoint_was_deleted() {
    let full = Home::new();
    full.count(1, &["one"], "savepoints/one");
    full.count(1, &["two"], "savepoints/two");
    let older = ids(&full)[1].to_string();
    snapline(["checkpoint", "delete", &full.checkpoints(), &older]).error(2, &["--yes"]);
    snapline(["checkpoint", "delete", &full.checkpoints(), &older, "--yes"]).with_code(0);
    assert_eq!(ids(&full).len(), 1);
    let listed = snapline(["checkpoint", "list", &full.checkpoints()])
        .with_code(0)
        .out;
    assert!(listed.contains("deleted"), "{listed}");
    snapline(["checkpoint", "verify", &full.checkpoints()]).with_code(0);
    let job = full.start(full.builder(), RARELY);
    job.send(&["two"]);
    assert_eq!(job.finish()["two"], 2, "the job goes on");
}

#[test]
fn a_job_with_another_max_parallelism_starts_from_a_rescaled_savepoint() {
    for (from, to, parallelism) in [(2, 300, 3), (3, 7, 2), (2, 1, 1)] {
        let home = Home::new();
        let many = many_words(5000);
        home.count(from, &[&many, "word-7"], "savepoints/one");
        let one = home.text("checkpoints/savepoints/one");
        let rescaled = home.text("checkpoints/savepoints/rescaled");
        let groups = to.to_string();
        let arguments = [
            "savepoint",
            "rescale",
            "--max-parallelism",
            &groups,
            &one,
            &rescaled,
        ];
        snapline(arguments).with_code(0);
        snapline(["savepoint", "verify", &rescaled]).with_code(0);
        snapline(["savepoint", "diff", &one, &rescaled]).with_code(0);
        let exported = exported(&snapline(["savepoint", "export", &rescaled]).lines());
        assert_eq!(exported, counts_of(&[&many, "word-7"]));

        let builder = home
            .builder()
            .parallelism(parallelism)
            .max_parallelism(MaxParallelism::new(to).unwrap())
            .restore_from("savepoints/rescaled", ClaimMode::NoClaim);
        let job = home.start(builder, RARELY);
        job.send(&[&many]);
        assert_eq!(job.finish(), counts_of(&[&many, &many, "word-7"]), "{from} {to}");
    }
}

#[test]
fn a_checkpoint_of_changes_can_be_rescaled_too() {
    let home = incremental();
    let newest = ids(&home)[0];
    let folder = std::fs::read_dir(home.path("checkpoints/wordcount/checkpoint")).unwrap();
    let newest = format!("-e{newest}");
    let folder = folder
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(&newest))
        .unwrap();
    let to = home.text("checkpoints/rescaled");
    let from = folder.to_str().unwrap();
    snapline(["savepoint", "rescale", "--max-parallelism", "11", from, &to]).with_code(0);
    let exported = exported(&snapline(["savepoint", "export", &to]).lines());
    assert_eq!(
        exported,
        counts_of(&[&many_words(5000), "word-7 word-8", "word-8"])
    );
    snapline([
        "savepoint",
        "rescale",
        "--max-parallelism",
        "0",
        from,
        &home.text("checkpoints/x"),
    ])
    .error(2, &["between 1 and 32768"]);
}
