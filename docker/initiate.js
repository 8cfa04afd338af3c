// Make the replica set and its users, or find them made: run it as often as you like.
//
// For mongosh, on the loopback of the first member. Settings, from the environment:
//   CDB_MEMBERS   host:port of each member, separated by commas, the first is this one
//   CDB_SECRETS   folder with admin_password, reader_password, writer_password
//
// A changed password of the reader or the writer takes effect by running this again.

const fs = require("fs");

const MEMBERS = process.env.CDB_MEMBERS.split(",");
const SET = "cdb";
const PATIENCE = 120; // s

// Databases are made as experiments and detectors come, and MongoDB cannot give rights by a
// prefix of the name: so any database, but none of the rights over users, sets or settings.
const USERS = [
  { name: "cdb-reader", secret: "reader_password", roles: ["readAnyDatabase"] },
  { name: "cdb-writer", secret: "writer_password", roles: ["readWriteAnyDatabase"] },
];

function secret(name) {
  const text = fs.readFileSync(`${process.env.CDB_SECRETS}/${name}`, "utf8").trim();
  if (!text) {
    throw new Error(`the secret ${name} is empty; docker/make-secrets.sh makes one`);
  }
  return text;
}

// How far the work got, as MongoDB shows it to somebody on its loopback who has not logged in:
// it answers until there is a first user.
function progress(admin) {
  try {
    admin.runCommand({ replSetGetStatus: 1 });
    return "no users";
  } catch (error) {
    if (error.codeName === "NotYetInitialized") return "no set";
    if (error.codeName === "Unauthorized") return "set and users";
    throw error;
  }
}

function makeSet(admin) {
  const members = MEMBERS.map((host, number) => ({
    _id: number,
    host,
    // The first user can be made on this member only, which must be the primary for it.
    priority: number === 0 ? 2 : 1,
  }));
  admin.runCommand({ replSetInitiate: { _id: SET, members } });
  print(`made the replica set ${SET}: ${MEMBERS.join(", ")}`);
}

function waitForPrimary(admin) {
  for (let second = 0; second < PATIENCE; second += 1) {
    if (admin.runCommand({ hello: 1 }).isWritablePrimary) return;
    sleep(1000);
  }
  throw new Error(`${MEMBERS[0]} was not elected primary within ${PATIENCE} s`);
}

function makeAdmin(admin) {
  waitForPrimary(admin);
  admin.runCommand({
    createUser: "admin",
    pwd: secret("admin_password"),
    roles: ["root"],
    writeConcern: { w: "majority" },
  });
  print("made the user admin: root");
}

function logIn(admin) {
  try {
    admin.auth("admin", secret("admin_password"));
  } catch (error) {
    if (error.codeName !== "AuthenticationFailed") throw error;
    throw new Error("the secret admin_password is not the password of the user admin");
  }
}

// Make a user, or give an existing one the password and the rights that it should have.
function makeUser(admin, user) {
  const known = admin.runCommand({ usersInfo: user.name }).users.length > 0;
  admin.runCommand({
    [known ? "updateUser" : "createUser"]: user.name,
    pwd: secret(user.secret),
    roles: user.roles,
    writeConcern: { w: "majority" },
  });
  print(`${known ? "found" : "made"} the user ${user.name}: ${user.roles.join(", ")}`);
}

const here = new Mongo("mongodb://127.0.0.1:27017/?directConnection=true").getDB("admin");
const reached = progress(here);
if (reached === "no set") makeSet(here);
if (reached !== "set and users") makeAdmin(here);

// From here on the primary may be any member.
const set = new Mongo(`mongodb://${MEMBERS.join(",")}/?replicaSet=${SET}`).getDB("admin");
logIn(set);
for (const user of USERS) makeUser(set, user);
