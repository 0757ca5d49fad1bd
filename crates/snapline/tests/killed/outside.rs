//! What a job writes to, as the test sees it.

/// What a sink does with its rows, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Files,
    Objects,
    Kafka,
    Nats,
    Prepared,
    Staged,
    Upsert,
}

const FORMS: [Form; 7] = [
    Form::Files,
    Form::Objects,
    Form::Kafka,
    Form::Nats,
    Form::Prepared,
    Form::Staged,
    Form::Upsert,
];

impl Form {
    /// How many rows a job writes, so that all take about as long.
    pub(crate) fn rows(self) -> u64 {
        match self {
            Self::Files | Self::Prepared => 6_000_000,
            Self::Staged => 800_000,
            Self::Objects => 700_000,
            Self::Kafka | Self::Upsert => 300_000,
            Self::Nats => 100_000,
        }
    }

    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn named(name: &str) -> Self {
        FORMS.into_iter().find(|form| form.name() == name).unwrap()
    }
}

/// A key, and seven times that.
pub(crate) type Row = (i64, i64);

/// The row with this key.
pub(crate) fn row(key: u64) -> Row {
    (key as i64, (key * 7) as i64)
}

/// What jobs write to. It outlives them.
pub(crate) trait Outside {
    /// An empty place of this name, and what a job has to know of it, in one line.
    fn prepare(&mut self, form: Form, name: &str) -> String;

    /// Whether there is a server that can be killed, or cut off.
    fn can_restart(&self) -> bool {
        true
    }

    /// Kills the server and starts it again, or cuts its connections.
    fn restart(&mut self) {}

    /// Panics unless the place has every row once, and nothing is left of what is not visible.
    fn assert_exactly_once(&self, form: Form, name: &str);
}

/// Panics unless these are all rows, each once.
pub(crate) fn assert_all_once(found: impl IntoIterator<Item = Row>, rows: u64, place: &str) {
    let mut seen = vec![false; rows as usize];
    let mut count = 0;
    for (key, value) in found {
        assert!(key >= 0 && value == key * 7, "{place}: a wrong row {key} {value}");
        let seen = seen.get_mut(key as usize);
        let seen = seen.unwrap_or_else(|| panic!("{place}: a wrong row {key}"));
        assert!(
            !std::mem::replace(seen, true),
            "{place}: the row {key} is there twice"
        );
        count += 1;
    }
    let missing = seen.iter().position(|seen| !seen);
    assert_eq!(missing, None, "{place}: only {count} of {rows} rows are there");
}

/// A row of text, as sinks of bytes write it.
pub(crate) fn parse(line: &str) -> Row {
    let (key, value) = line.split_once(' ').unwrap();
    (key.parse().unwrap(), value.parse().unwrap())
}
