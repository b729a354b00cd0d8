// Check each dashboard as a literal of the type Page: unknown members, missing ones and wrong values are errors.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import ts from "typescript";

const HERE = import.meta.dirname;
const DASHBOARDS = join(HERE, "../../monitoring/grafana/dashboards");
const OPTIONS = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
};

const texts = new Map(
  readdirSync(DASHBOARDS).map((file) => [file, readFileSync(join(DASHBOARDS, file), "utf8")]),
);

/** The errors of a JSON text as a Page. */
function errors(text) {
  const file = join(HERE, "dashboard.ts");
  const source = `import type { Page } from "./page";\nexport const dashboard: Page =\n${text};`;
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, version) =>
    name === file ? ts.createSourceFile(name, source, version) : getSourceFile(name, version);
  return ts.getPreEmitDiagnostics(ts.createProgram([file], OPTIONS, host)).map((found) => {
    const line = found.file?.getLineAndCharacterOfPosition(found.start).line;
    return `line ${line - 1}: ${ts.flattenDiagnosticMessageText(found.messageText, "\n")}`;
  });
}

for (const [file, text] of texts) {
  test(`${file} is a dashboard of Grafana`, () => assert.deepEqual(errors(text), []));
}

const WRONG = {
  "an unknown member": (panel) => (panel.options.legend.display = "list"),
  "a value that is not of the enumeration": (panel) => (panel.options.legend.placement = "left"),
  "a panel without an id": (panel) => delete panel.id,
  "an unknown kind of panel": (panel) => (panel.type = "lines"),
};

for (const [what, spoil] of Object.entries(WRONG)) {
  test(`${what} is refused`, () => {
    const dashboard = JSON.parse(texts.get("weir-stream.json"));
    spoil(dashboard.panels.find((panel) => panel.type === "timeseries"));
    assert.notDeepEqual(errors(JSON.stringify(dashboard)), []);
  });
}
