//! A Ceph cluster of one monitor and one store in memory, and the gateway that speaks S3.

use super::{Server, done, free_port, fresh_folder};
use crate::debian::{install, works};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The packages of Debian 12, about 110 seconds to install.
const PACKAGES: [&str; 5] = ["ceph-mon", "ceph-osd", "ceph-common", "radosgw", "curl"];

const PROGRAMS: [&str; 6] = [
    "monmaptool",
    "ceph-mon",
    "ceph-osd",
    "ceph",
    "radosgw",
    "radosgw-admin",
];

const BUCKET: &str = "snapline";
const KEY: &str = "key";
const SECRET: &str = "secret";

/// What curl does not send by itself and the gateway wants: the checksum of no body.
const NO_BODY: &str =
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A gateway that answers.
pub(super) struct Gateway {
    endpoint: String,
    _server: Server,
}

impl Gateway {
    /// What the tests have to know.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SNAPLINE_S3_ENDPOINT", self.endpoint.clone()),
            ("SNAPLINE_S3_BUCKET", BUCKET.to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

/// Starts the cluster, with a user and a bucket. Takes about a quarter of a minute.
///
/// # Errors
/// Which programs are missing, or what went wrong.
pub(super) fn start() -> Result<Gateway, String> {
    find()?;
    let (monitor, gateway) = (free_port()?, free_port()?);
    let mut server = Server::in_folder(fresh_folder("radosgw")?);
    let folder = server.folder.clone();
    let (cluster, store) = (uuid()?, uuid()?);
    let text = settings(&folder, &cluster, monitor, gateway);
    let failed = |error| format!("cannot write to {}: {error}", folder.display());
    for name in ["mon", "osd", "rgw"] {
        fs::create_dir(folder.join(name)).map_err(failed)?;
    }
    fs::write(folder.join("keyring"), "").map_err(failed)?;
    fs::write(folder.join("ceph.conf"), text).map_err(failed)?;

    let ceph = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(["-c", "ceph.conf"])
            .args(arguments)
            .current_dir(&folder);
        command
    };
    let address = format!("[v2:127.0.0.1:{monitor}]");
    let map = ["--create", "--fsid", &cluster, "--addv", "a", &address, "monmap"];
    done(Command::new("monmaptool").args(map).current_dir(&folder))?;
    done(&mut ceph(
        "ceph-mon",
        &["-i", "a", "--mkfs", "--monmap", "monmap"],
    ))?;
    server.start(&mut ceph("ceph-mon", &["-i", "a", "-f"]))?;
    done(&mut ceph(
        "ceph",
        &["--connect-timeout", "60", "osd", "new", &store],
    ))?;
    done(&mut ceph(
        "ceph-osd",
        &["-i", "0", "--mkfs", "--osd-uuid", &store],
    ))?;
    server.start(&mut ceph("ceph-osd", &["-i", "0", "-f"]))?;
    server.start(&mut ceph("radosgw", &["-n", "client.rgw", "-f"]))?;
    let user = ["user", "create", "--uid=test", "--display-name=test"];
    let keys = ["--access-key", KEY, "--secret-key", SECRET];
    done(ceph("radosgw-admin", &user).args(keys))?;
    let endpoint = format!("http://127.0.0.1:{gateway}");
    make_bucket(&endpoint)?;
    Ok(Gateway {
        endpoint,
        _server: server,
    })
}

/// Whether all programs are there; installs them where that is a matter of course.
fn find() -> Result<(), String> {
    let missing = || {
        let is_missing = |program: &&str| !works(program, &["--version"]);
        let mut missing: Vec<&str> = PROGRAMS.into_iter().filter(is_missing).collect();
        missing.extend(Some("curl").filter(is_missing));
        missing
    };
    if missing().is_empty() || install(&PACKAGES) && missing().is_empty() {
        return Ok(());
    }
    Err(format!(
        "not run, because these programs are missing: {} (Debian: apt-get install {})",
        missing().join(", "),
        PACKAGES.join(" ")
    ))
}

/// Waits until the gateway answers.
fn make_bucket(endpoint: &str) -> Result<(), String> {
    let retries = [
        "--retry",
        "60",
        "--retry-delay",
        "1",
        "--retry-connrefused",
        "--retry-all-errors",
    ];
    let sign = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--header", NO_BODY];
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail"])
        .args(retries)
        .args(sign);
    command.args(["--user", &format!("{KEY}:{SECRET}"), "--request", "PUT"]);
    done(command.arg(format!("{endpoint}/{BUCKET}")))
}

fn uuid() -> Result<String, String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid");
    let uuid = uuid.map_err(|error| format!("the system gives no random name: {error}"))?;
    Ok(uuid.trim().to_owned())
}

/// No authentication inside of the cluster, one copy of everything, all of it in memory, and no waiting for more
/// bytes before an answer is sent.
fn settings(folder: &Path, cluster: &str, monitor: u16, gateway: u16) -> String {
    let folder = folder.display();
    format!(
        "\
[global]
fsid = {cluster}
mon_initial_members = a
mon_host = v2:127.0.0.1:{monitor}/0
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
run_dir = {folder}
crash_dir = {folder}
keyring = {folder}/keyring
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
pid_file =
mon_data = {folder}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
mon_allow_pool_size_one = true
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_load_list = *
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
[client]
ms_mon_client_mode = crc
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
"
    )
}
