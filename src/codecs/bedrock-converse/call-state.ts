/** What the reader of an answer must know of its request. */
import { CallState } from "../../core/call-state.ts";

export class ConverseCallState extends CallState {
  /** Family of the signatures that the model issues. */
  signatureFamily = "anthropic";
}
