/** Whether a request's contents are what the Gemini API takes: written from its documentation, not from our writer. */

interface WirePart {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly functionCall?: { readonly name?: string; readonly id?: string; readonly args?: unknown };
  readonly functionResponse?: { readonly name?: string; readonly id?: string; readonly response?: unknown };
  readonly inlineData?: { readonly mimeType?: string; readonly data?: string };
  readonly fileData?: { readonly fileUri?: string };
}

interface WireContent {
  readonly role?: string;
  readonly parts?: readonly WirePart[];
}

const kinds = ["text", "functionCall", "functionResponse", "inlineData", "fileData", "executableCode", "codeExecutionResult"];

/** What is wrong, in words; empty where the contents are valid. */
export function findFaults(body: { readonly contents: readonly WireContent[] }): string[] {
  const faults: string[] = [];
  const { contents } = body;
  if (contents.length === 0) faults.push("contents is not specified");
  contents.forEach((content, index) => {
    const wanted = index % 2 === 0 ? "user" : "model";
    if (content.role !== wanted) faults.push(`content ${index} is ${content.role}, not ${wanted}`);
    const parts = content.parts ?? [];
    if (parts.length === 0) faults.push(`content ${index} has no parts`);
    for (const part of parts) faults.push(...findPartFaults(part, index));
    faults.push(...findCallFaults(content, contents[index + 1], index));
  });
  if ((contents[0]?.parts ?? []).some((part) => part.functionResponse !== undefined)) faults.push("begins with a result");
  return faults;
}

function findPartFaults(part: WirePart, index: number): string[] {
  const found = kinds.filter((kind) => kind in part);
  if (found.length !== 1) return [`content ${index} has a part of ${found.length} kinds`];
  if (part.text === "" && part.thoughtSignature === undefined) return [`content ${index} has an empty text`];
  const named = part.functionCall ?? part.functionResponse;
  if (named !== undefined && !/^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$/.test(named.name ?? ""))
    return [`content ${index} has the name ${named.name}`];
  if (part.functionCall !== undefined && !isObject(part.functionCall.args)) return [`content ${index} has args that are no object`];
  if (part.functionResponse !== undefined && !isObject(part.functionResponse.response))
    return [`content ${index} has a response that is no object`];
  if (part.inlineData !== undefined && !/^[a-z]+\/\S+$/.test(part.inlineData.mimeType ?? "")) return [`content ${index} has no media type`];
  return [];
}

/** As many results as calls, first in the content after them, in their order. */
function findCallFaults(content: WireContent, next: WireContent | undefined, index: number): string[] {
  const calls = (content.parts ?? []).flatMap(({ functionCall }) => functionCall ?? []);
  const following = next?.parts ?? [];
  const results = following.flatMap(({ functionResponse }) => functionResponse ?? []);
  if (content.role !== "model") return [];
  if (results.length !== calls.length) return [`content ${index} has ${calls.length} calls and ${results.length} results`];
  const faults: string[] = [];
  calls.forEach((call, position) => {
    const result = following[position]?.functionResponse;
    if (result?.name !== call.name || result?.id !== call.id) faults.push(`result ${position} after content ${index} is of another call`);
  });
  return faults;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
