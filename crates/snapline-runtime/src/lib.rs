//! Runs Snapline jobs: tasks, channels, gates, and the job master on tokio.
