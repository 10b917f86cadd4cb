/**
 * Signatures of other vendors inside `thoughtSignature`. The field is bytes, base64 in JSON, and clients carry it back
 * unread, some of them in the other base64 alphabet. So what another vendor signed travels as base64 of a small JSON
 * object with all that its format needs to get the reasoning back as it was; Gemini's own values travel as they are.
 */
import { create } from "@bufbuild/protobuf";
import { type Part, type Signature, SignatureSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, tryParseJson } from "../../core/json.ts";
import { signatureFamily } from "./wire.ts";

/** What a part was before it was written as one of the API's. */
export interface ForeignSignature {
  readonly signature: Signature;
  /** The part's own id, for example of an OpenAI reasoning item. */
  readonly id: string;
  /** Reasoning that was ciphertext alone. */
  readonly redacted: boolean;
  /** Reasoning whose text was a summary. */
  readonly summarized: boolean;
}

/** First member of the object; base64 of it begins every value. */
const marker = '{"dragoman":1,';

/** `thoughtSignature` of a part; undefined where it is not signed. */
export function writeSignature({ part, signature, id }: Part): string | undefined {
  if (signature === undefined || signature.value === "") return undefined;
  const { value, format } = signature;
  if (format === signatureFamily) return value;
  const isReasoning = part.case === "reasoning";
  const facts = {
    dragoman: 1,
    format,
    value,
    ...(id === "" ? {} : { id }),
    ...(isReasoning && part.value.redacted ? { redacted: true } : {}),
    ...(isReasoning && part.value.summaries.length > 0 ? { summarized: true } : {}),
  };
  return Buffer.from(JSON.stringify(facts)).toString("base64");
}

/** What `writeSignature` wrote for another vendor; undefined for any other value. */
export function readForeignSignature(wire: string): ForeignSignature | undefined {
  const text = Buffer.from(wire, "base64").toString("utf8");
  if (!text.startsWith(marker)) return undefined;
  const facts = tryParseJson(text);
  if (!isJsonObject(facts)) return undefined;
  const { format, value, id, redacted, summarized } = facts;
  if (typeof format !== "string" || typeof value !== "string" || value === "") return undefined;
  return {
    signature: create(SignatureSchema, { value, format }),
    id: typeof id === "string" ? id : "",
    redacted: redacted === true,
    summarized: summarized === true,
  };
}
