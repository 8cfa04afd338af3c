"""The container files, as far as they can be checked without a container engine."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdb.cli.serve import serve_command
from cdb.web import settings

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"
MEMBERS = ["mongo1", "mongo2", "mongo3"]

# Stands in for mongosh: runs docker/initiate.js on a server that is imagined, and prints the
# commands that it got as JSON lines. progress is what an unknown caller on loopback finds.
MONGOSH = """
const [script, progress, known, password] = process.argv.slice(1);
const source = require("fs").readFileSync(script, "utf8");
let hellos = 0;
const refuse = (codeName) => { throw Object.assign(new Error(codeName), { codeName }); };
class Mongo {
  constructor(url) { this.url = url; this.user = null; }
  getDB() { return this; }
  auth(user, given) {
    if (given !== password) refuse("AuthenticationFailed");
    this.user = user;
  }
  runCommand(command) {
    const name = Object.keys(command)[0];
    console.log(JSON.stringify({ by: this.user, url: this.url, name, command }));
    if (name === "replSetGetStatus" && progress !== "ok") refuse(progress);
    if (name === "hello") return { isWritablePrimary: (hellos += 1) > 2 };
    const users = known.split(",").filter((user) => user === command.usersInfo);
    if (name === "usersInfo") return { users };
  }
}
new Function("require", "print", "sleep", "Mongo", source)(require, () => {}, () => {}, Mongo);
"""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads compose.yaml and is not installed")
    parsed: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return parsed


@pytest.fixture
def services(compose) -> dict[str, Any]:
    return compose["services"]


@pytest.fixture
def secrets(tmp_path) -> Path:
    """The folder that make-secrets.sh fills."""
    folder = tmp_path / "secrets"
    subprocess.run([DOCKER / "make-secrets.sh", folder], check=True, capture_output=True)
    return folder


# the composition


def test_three_members_make_one_set_behind_a_key(services):
    members = [name for name, service in services.items() if "--replSet=cdb" in command_of(service)]
    assert members == MEMBERS
    for name in members:
        assert "--keyFile=/data/configdb/keyfile" in services[name]["command"]
        assert services[name]["secrets"] == ["keyfile"]
        assert services[name]["healthcheck"]["test"][:2] == ["CMD", "mongosh"]
        assert services[name]["restart"] == "unless-stopped"


def command_of(service: dict[str, Any]) -> list[str]:
    return service.get("command", [])


def test_each_member_keeps_its_data_in_a_volume_of_its_own(compose, services):
    kept = [services[name]["volumes"] for name in MEMBERS]
    assert kept == [[f"{name}:/data/db"] for name in MEMBERS]
    assert sorted(compose["volumes"]) == MEMBERS


def test_the_set_is_initiated_once_when_all_members_answer(services):
    once = services["initiate"]
    assert once["restart"] == "no"
    assert once["depends_on"] == {name: {"condition": "service_healthy"} for name in MEMBERS}
    # MongoDB lets the first user be made from its own loopback only.
    assert once["network_mode"] == "service:mongo1"


def test_all_services_know_the_same_members(services):
    hosts = ",".join(f"{name}:27017" for name in MEMBERS)
    assert services["initiate"]["environment"]["CDB_MEMBERS"] == hosts
    assert services["cdb"]["environment"]["CDB_MEMBERS"] == hosts
    assert services["backup"]["environment"]["CDB_MEMBERS"] == hosts
    assert services["serve"]["environment"]["CDB_MEMBERS"] == hosts


def test_the_command_waits_for_the_users_and_is_the_writer(services):
    tool = services["cdb"]
    assert tool["depends_on"] == {"initiate": {"condition": "service_completed_successfully"}}
    assert tool["secrets"] == ["writer_password"]
    assert tool["environment"]["CDB_USER"] == "cdb-writer"
    assert tool["profiles"] == ["tools"]


def test_the_service_waits_for_the_users_and_is_the_writer(services):
    served = services["serve"]
    assert served["depends_on"] == {"initiate": {"condition": "service_completed_successfully"}}
    assert served["environment"]["CDB_USER"] == "cdb-writer"
    assert served["environment"]["CDB_JWT_SECRET_FILE"] == "/run/secrets/jwt_secret"
    assert "profiles" not in served


def test_what_the_service_is_told_are_settings(services):
    assert services["serve"]["command"][0] == "serve"
    known = {parameter.opts[0] for parameter in serve_command.params}
    assert {word.split("=")[0] for word in services["serve"]["command"][1:]} <= known
    others = {"CDB_USER", "CDB_PASSWORD_FILE", "CDB_MEMBERS"}
    told = {*services["serve"]["environment"]} - others
    assert {name.removeprefix("CDB_").lower() for name in told} <= {*settings.NAMES}


def test_the_database_is_not_offered_to_the_outside_and_the_service_only_to_a_proxy(services):
    offered = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert offered == {"serve": ["127.0.0.1:${CDB_PORT:-8000}:8000"]}


def test_every_file_that_is_named_is_there(compose, services):
    for config in compose["configs"].values():
        assert (DOCKER / config["file"]).is_file()
    named = {c["source"] for s in services.values() for c in s.get("configs", [])}
    assert named == set(compose["configs"])


# passwords


def test_passwords_come_from_files_that_git_ignores(compose, services):
    ignored = (DOCKER / ".gitignore").read_text().splitlines()
    assert "secrets/" in ignored
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"${{CDB_SECRETS_FOLDER:-./secrets}}/{name}"}
    used = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])


def test_no_password_stands_in_the_files():
    for path in DOCKER.iterdir():
        if not path.is_file():
            continue
        text = path.read_text()
        # user:password@ in an address, where neither is a variable
        assert not re.search(r"://[^\s/${}`]+:[^\s/${}`]+@", text), path
        # password = "...", pwd: '...', and MONGO_..._PASSWORD: ...
        for value in re.findall(r"(?i)(?:password|pwd)[a-z_]*['\"]?\s*[:=]\s*(\S+)", text):
            assert re.match(r"\$\(|\"%s|/run/secrets/|secret\(|file:", value), (path, value)


def test_make_secrets_makes_keys_that_are_taken_and_three_passwords(secrets):
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert sorted(made) == [
        "admin_password", "jwt_secret", "keyfile", "reader_password", "writer_password",
    ]  # fmt: skip
    assert 6 <= len(made["keyfile"]) <= 1024
    assert all(re.fullmatch(r"[0-9a-f]{48,}", text) for text in made.values())
    assert len(set(made.values())) == 5
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_make_secrets_keeps_what_is_there(secrets):
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    (secrets / "reader_password").unlink()
    again = subprocess.run(
        [DOCKER / "make-secrets.sh", secrets], check=True, capture_output=True, text=True
    )
    assert again.stdout == f"made {secrets}/reader_password\n"
    for name in set(before) - {"reader_password"}:
        assert (secrets / name).read_text() == before[name]


# the scripts inside


def run_script(name: str, *arguments: str, bin_folder: Path, **environ: str) -> str:
    """Run a script of docker/ with programs of our own first on its PATH."""
    done = subprocess.run(
        [DOCKER / name, *arguments],
        env={"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def put_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_member_copies_the_key_for_itself_before_it_starts(tmp_path):
    for program in ("install", "docker-entrypoint.sh"):
        put_program(tmp_path / program, f'echo {program} "$@"')
    out = run_script("member.sh", "--replSet=cdb", bin_folder=tmp_path)
    assert out.splitlines() == [
        "install -o mongodb -g mongodb -m 0400 /run/secrets/keyfile /data/configdb/keyfile",
        "docker-entrypoint.sh mongod --replSet=cdb",
    ]


def test_the_command_gets_its_address_with_the_password_quoted(tmp_path):
    (tmp_path / "password").write_text("a/b c@d:%\n")
    put_program(tmp_path / "cdb", 'echo "$CDB_URL" "$@"')
    if not shutil.which("python"):
        put_program(tmp_path / "python", 'exec python3 "$@"')
    out = run_script(
        "with-password.sh",
        "fsck",
        "--json",
        bin_folder=tmp_path,
        CDB_USER="cdb-writer",
        CDB_PASSWORD_FILE=str(tmp_path / "password"),
        CDB_MEMBERS="a:1,b:2",
    )
    url = "mongodb://cdb-writer:a%2Fb%20c%40d%3A%25@a:1,b:2/?replicaSet=cdb&authSource=admin"
    assert out == f"{url} fsck --json\n"


def test_the_backup_is_of_one_moment_and_shows_no_password(tmp_path):
    script = tmp_path / "backup.sh"
    text = (DOCKER / "backup.sh").read_text()
    (tmp_path / "password").write_text("s3cret\n")
    script.write_text(text.replace("/run/secrets/admin_password", f"{tmp_path}/password"))
    script.chmod(0o755)
    put_program(tmp_path / "mongodump", 'echo "$@"; for a; do cat "${a#--config=}"; break; done')
    out = run_script(str(script), bin_folder=tmp_path, CDB_MEMBERS="a:1,b:2", TMPDIR=str(tmp_path))
    options, login = out.splitlines()
    assert "--oplog" in options.split()
    assert "--host=cdb/a:1,b:2" in options.split()
    assert "s3cret" not in options
    assert login == 'password: "s3cret"'
    assert not list(tmp_path.glob("tmp.*"))


# making the set and the users


def initiate(secrets: Path, *, progress: str, known: str = "", password: str | None = None):
    """Run initiate.js on an imagined server; return the commands it sent, and what it said."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node runs initiate.js and is not on the PATH")
    right = (secrets / "admin_password").read_text()
    done = subprocess.run(
        [node, "-e", MONGOSH, DOCKER / "initiate.js", progress, known, password or right],
        env={**os.environ, "CDB_MEMBERS": "a:1,b:2,c:3", "CDB_SECRETS": str(secrets)},
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_new_set_gets_three_members_an_administrator_and_two_users(secrets):
    commands, errors = initiate(secrets, progress="NotYetInitialized")
    assert errors == ""
    assert [c["name"] for c in commands if c["name"] != "hello"] == [
        "replSetGetStatus", "replSetInitiate", "createUser",
        "usersInfo", "createUser", "usersInfo", "createUser",
    ]  # fmt: skip
    config = commands[1]["command"]["replSetInitiate"]
    assert [member["host"] for member in config["members"]] == ["a:1", "b:2", "c:3"]
    made = [c["command"] for c in commands if c["name"] == "createUser"]
    assert [(user["createUser"], user["roles"]) for user in made] == [
        ("admin", ["root"]),
        ("cdb-reader", ["readAnyDatabase"]),
        ("cdb-writer", ["readWriteAnyDatabase"]),
    ]
    for user in made:
        name = user["createUser"].removeprefix("cdb-")
        assert user["pwd"] == (secrets / f"{name}_password").read_text()


def test_users_are_made_by_the_administrator_on_whichever_member_is_primary(secrets):
    commands, _ = initiate(secrets, progress="NotYetInitialized")
    users = [c for c in commands if str(c["command"].get("createUser")).startswith("cdb-")]
    assert {c["by"] for c in users} == {"admin"}
    assert {c["url"] for c in users} == {"mongodb://a:1,b:2,c:3/?replicaSet=cdb"}


def test_a_set_without_users_is_not_initiated_again(secrets):
    commands, errors = initiate(secrets, progress="ok")
    names = [c["name"] for c in commands]
    assert errors == ""
    assert "replSetInitiate" not in names
    assert names.count("createUser") == 3


def test_a_second_run_only_sets_passwords_and_rights_again(secrets):
    commands, errors = initiate(secrets, progress="Unauthorized", known="cdb-reader,cdb-writer")
    assert errors == ""
    changes = [c["name"] for c in commands if c["name"] not in ("replSetGetStatus", "usersInfo")]
    assert changes == ["updateUser", "updateUser"]


def test_a_wrong_administrators_password_is_said(secrets):
    _, errors = initiate(secrets, progress="Unauthorized", password="another")
    assert "admin_password is not the password of the user admin" in errors


def test_an_empty_secret_is_said(secrets):
    (secrets / "reader_password").unlink()
    (secrets / "reader_password").write_text("\n")
    _, errors = initiate(secrets, progress="Unauthorized")
    assert "the secret reader_password is empty" in errors


# the image


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as pairs of instruction and argument."""
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_runs_cdb_without_rights(instructions):
    assert dict(instructions)["ENTRYPOINT"] == '["cdb"]'
    users = [argument for name, argument in instructions if name == "USER"]
    assert users[-1].split(":")[0] not in ("root", "0")


def test_every_stage_starts_from_the_same_slim_python(instructions):
    bases = [argument.split()[0] for name, argument in instructions if name == "FROM"]
    assert bases == ["python:3.12-slim"] * 2


def test_the_image_takes_only_what_is_there_and_let_through(instructions):
    let_through = {
        line.removeprefix("!")
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    taken = {
        source
        for name, argument in instructions
        if name == "COPY" and "--from" not in argument
        for source in argument.split()[:-1]
    }
    assert taken == let_through
    assert [source for source in sorted(taken) if not (ROOT / source).exists()] == []
