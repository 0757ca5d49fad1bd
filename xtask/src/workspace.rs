//! What cargo knows about the packages of this repository.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where plugins are, from the root.
pub(crate) const PLUGINS: &str = "examples/plugins";

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// `cargo`, the same that runs this task, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// One package of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) binaries: Vec<Binary>,
}

/// One line of a package's dependencies.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) for_tests: bool,
}

/// A program that a package builds.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
}

/// The folders of the packages that stand for those of others, outside of the workspace.
pub(crate) fn plugins() -> Result<Vec<PathBuf>, String> {
    let folder = root().join(PLUGINS);
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let entries = fs::read_dir(&folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// All packages of the workspace and the plugins, as cargo reads them.
pub(crate) fn packages() -> Result<Vec<Package>, String> {
    let mut packages = packages_of(&root())?;
    for plugin in plugins()? {
        packages.extend(packages_of(&plugin)?);
    }
    Ok(packages)
}

fn packages_of(folder: &Path) -> Result<Vec<Package>, String> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(folder)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    Ok(list(&metadata["packages"]).iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
        binaries: list(&value["targets"]).iter().filter_map(binary).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text(&value["name"]),
        for_tests: value["kind"] == "dev",
    }
}

fn binary(value: &Value) -> Option<Binary> {
    list(&value["kind"])
        .contains(&Value::from("bin"))
        .then(|| Binary {
            name: text(&value["name"]),
            source: PathBuf::from(text(&value["src_path"])),
        })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_the_packages_and_their_dependencies() {
        let packages = packages().unwrap();
        let xtask = packages.iter().find(|package| package.name == "xtask").unwrap();
        assert!(
            xtask
                .dependencies
                .iter()
                .any(|d| d.name == "clap" && !d.for_tests)
        );
        assert_eq!(xtask.binaries[0].name, "xtask");
        assert!(packages.iter().any(|package| package.name == "custom-state"));
        assert!(root().join("Cargo.toml").exists());
    }
}
