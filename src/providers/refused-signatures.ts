/**
 * Signatures whose issuer nobody knows are sent if their family fits; a provider that refuses them is asked once more
 * without (contract.md 1, rule 4).
 */
import type { GenerateRequest, Part } from "../../gen/dragoman/v1/generate_pb.ts";
import type { GatewayError } from "../core/error.ts";

/**
 * Vendors' words for it: Anthropic "Invalid `signature` in `thinking` block", Gemini "Thought signature is not valid",
 * OpenAI "The encrypted content ... could not be verified".
 */
const words = /signature|encrypted[_ ]content/i;

/** No provider is called so: writers take what it issued for another's, leave it out and report it. */
const nobody = " unknown";

/** Whether the provider refused a signature, by its 400. */
export function refusesSignature({ details: { upstream } }: GatewayError): boolean {
  return upstream !== undefined && upstream.httpStatus === 400 && words.test(`${upstream.message} ${upstream.code}`);
}

/** The request whose signatures of unknown issuers are nobody's; undefined where there are none. */
export function disownSignatures(request: GenerateRequest): GenerateRequest | undefined {
  const isUnknown = ({ signature }: Part) => signature !== undefined && signature.provider === "";
  if (!request.messages.some(({ parts }) => parts.some(isUnknown))) return undefined;
  const disown = (part: Part): Part =>
    part.signature !== undefined && isUnknown(part) ? { ...part, signature: { ...part.signature, provider: nobody } } : part;
  return { ...request, messages: request.messages.map((message) => ({ ...message, parts: message.parts.map(disown) })) };
}
