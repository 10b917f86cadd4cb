/**
 * Fills proto/ with the files of upstreams that speak gRPC, out of checkouts of their public repositories. Run it by hand
 * to take newer ones, and commit what it writes.
 *
 *   node proto/vendor-upstreams.ts <checkout of googleapis/googleapis> <checkout of xai-org/xai-proto>
 *
 * Both are licensed under Apache 2.0. Google's annotations (HTTP paths, resource names) are for other tools: they are left
 * out, and with them the files that define them; so are the parts of services that the gateway never calls.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const gemini = "google/ai/generativelanguage/v1beta";

/** Files of googleapis, with the declarations that stay out, by name or pattern. */
const googleFiles: Readonly<Record<string, RegExp>> = {
  [`${gemini}/generative_service.proto`]:
    /^(?:GenerateAnswer\w*|SemanticRetrieverConfig|Bidi\w+|RealtimeInputConfig|SessionResumption\w+|ContextWindowCompressionConfig|AudioTranscriptionConfig|GoAway|UsageMetadata)$/,
  [`${gemini}/model_service.proto`]: /Tuned/,
  [`${gemini}/content.proto`]: /^GroundingPassages?$/,
  [`${gemini}/citation.proto`]: /^$/,
  [`${gemini}/model.proto`]: /^$/,
  [`${gemini}/safety.proto`]: /^(?:ContentFilter|SafetyFeedback)$/,
  "google/type/interval.proto": /^$/,
  "google/type/latlng.proto": /^$/,
};
/** Imports that nothing in the cut files needs. */
const unneeded =
  /^import "(?:google\/api\/|google\/longrunning\/|google\/protobuf\/(?:empty|field_mask)|google\/ai\/generativelanguage\/v1beta\/(?:retriever|tuned_model))[^\n]*\n/gm;

const xaiFiles = ["chat", "deferred", "documents", "embed", "image", "models", "sample", "usage"].map((name) => `xai/api/v1/${name}.proto`);
const xaiNote = "// Copied from https://github.com/xai-org/xai-proto, which is licensed under the Apache License 2.0.\n\n";

/** The file without annotations and without the top-level declarations and methods whose name matches. */
export function cutProto(source: string, left: RegExp): string {
  const text = removeDeclarations(source.replace(unneeded, ""), left);
  return (
    text
      // Method and message options, with their block where they have one.
      .replace(/^ *option \(google\.[^;{]*(?:\{[\s\S]*?\n *\})?;\n/gm, "")
      .replace(/ \{\n\s*\}/g, " {}")
      .replace(/\s*\[([^[\]]*google\.api[^[\]]*)\];/g, (_, options: string) => keptOptions(options))
      .replace(/\n{3,}/g, "\n\n")
      .replace(/\{\n\n/g, "{\n")
      .replace(/\n\n( *\}\n)/g, "\n$1")
      .replace(/ returns \(([\w.]+)\) \{\}\n/g, " returns ($1);\n")
  );
}

function keptOptions(options: string): string {
  const kept = options
    .replace(/\{[^}]*\}/g, "{}")
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option !== "" && !option.startsWith("(google.api."));
  return kept.length === 0 ? ";" : ` [${kept.join(", ")}];`;
}

/** Top-level messages and enums, and methods of services, with the comments right before them. */
function removeDeclarations(source: string, left: RegExp): string {
  const lines = source.split("\n");
  const kept: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const name = /^(?:(?:message|enum) | {2}rpc )(\w+)/.exec(line)?.[1];
    if (name === undefined || !left.test(name)) {
      kept.push(line);
      continue;
    }
    while (/^\s*\/\//.test(kept.at(-1) ?? "")) kept.pop();
    let depth = 0;
    for (; at < lines.length; at++) {
      const code = (lines[at] ?? "").replace(/\/\/.*|"[^"]*"/g, "");
      depth += code.split("{").length - code.split("}").length;
      if (depth === 0 && /[;}]\s*$/.test(code)) break;
    }
  }
  return kept.join("\n");
}

function write(path: string, text: string): void {
  const target = join("proto", path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}

if (import.meta.main) {
  const [google, xai] = process.argv.slice(2);
  if (google === undefined || xai === undefined) throw new Error("name both checkouts: googleapis, xai-proto");
  for (const [path, left] of Object.entries(googleFiles)) write(path, cutProto(readFileSync(join(google, path), "utf8"), left));
  for (const path of xaiFiles) write(path, xaiNote + readFileSync(join(xai, "proto", path), "utf8"));
}
