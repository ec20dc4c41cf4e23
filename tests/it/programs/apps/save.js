#!/usr/bin/env node
// Saves for a second at INT or TERM, and notices nothing else meanwhile: save.js NAME

const { writeFileSync } = require("node:fs");

const name = process.argv[2];
let asked = false;

function save() {
  if (asked) return;
  asked = true;
  console.log(`saving ${name}`);
  setTimeout(() => {
    writeFileSync(`saved.${name}`, "");
    console.log(`saved ${name}`);
    process.exit(0);
  }, 1000);
}

process.on("SIGINT", save);
process.on("SIGTERM", save);
setInterval(() => {}, 1 << 30);
console.log(`ready ${name}`);
writeFileSync(`ready.${name}`, "");
