/** Every client dialect, the native contract last. */
import type { DialectClient } from "./dialect.ts";
import { anthropic } from "./dialect-anthropic.ts";
import { chat } from "./dialect-chat.ts";
import { completions } from "./dialect-completions.ts";
import { gemini } from "./dialect-gemini.ts";
import { responses } from "./dialect-responses.ts";
import { createRpcClient } from "./dialect-rpc.ts";

/** `extrasFormat`: of which format the contract's unknown fields are. */
export function createDialects(extrasFormat: () => string): readonly DialectClient[] {
  return [completions, chat, responses, anthropic, gemini, createRpcClient(extrasFormat)];
}
