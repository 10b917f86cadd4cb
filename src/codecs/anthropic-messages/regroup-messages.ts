/** The conversation in the order that the API takes, and what it wants of the calls that Anthropic itself ran. */
import type { Message } from "../../../gen/dragoman/v1/generate_pb.ts";
import { alternateTurns, checkLastTurn, startWithUser, type TurnForms, type Turns, type WireMessage } from "../../core/alternate-turns.ts";
import type { WritableObject } from "../../core/json.ts";
import { repeatedId } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { PartWriter } from "./write-parts.ts";

export interface Conversation {
  readonly system: WritableObject[];
  readonly messages: WireMessage[];
}

/** Reports what is refused: a call without its result, a result without its call, an answer to be continued. */
export function regroupMessages(messages: readonly Message[], context: WriteContext): Conversation {
  const forms: TurnForms = {
    format: formatName,
    parts: new PartWriter(context),
    writeText: (text) => ({ type: "text", text }),
    repeatedId,
    renameCall: (block, id) => {
      block.id = id;
    },
    renameResult: (block, id) => {
      block.tool_use_id = id;
    },
    isPaused: isServerCall,
  };
  const turns = alternateTurns(messages, forms, context);
  checkServerTools(turns, context);
  startWithUser(turns, forms, context);
  checkLastTurn(turns, forms, context);
  return turns;
}

/** A provider's own call and its result belong together; a call may still be running in the last turn alone. */
function checkServerTools({ exchanges }: Turns, { report }: WriteContext): void {
  const open = new Map<string, string>();
  exchanges.forEach(({ asked }, index) => {
    for (const { path, block } of asked.flatMap(({ parts }) => parts)) {
      const { type, id, tool_use_id: callId } = block;
      if (isServerCall(block) && typeof id === "string") open.set(id, path);
      else if (typeof type === "string" && type.endsWith("_tool_result") && typeof callId === "string" && !open.delete(callId)) {
        report.refused(path, "is the result of a provider's tool call that is missing");
      }
    }
    if (index < exchanges.length - 1) return;
    const last = new Set(asked.flatMap(({ parts }) => parts).map(({ path }) => path));
    for (const path of open.values()) if (!last.has(path)) report.refused(path, "is a provider's tool call whose result is missing");
  });
}

function isServerCall({ type }: WritableObject): boolean {
  return type === "server_tool_use" || type === "mcp_tool_use";
}
