/**
 * Answers that the gateway keeps for clients of OpenAI Responses (`store`, `previous_response_id`), whichever provider gave
 * them. In memory, or durable and shared.
 */
import type { Message } from "../../gen/dragoman/v1/generate_pb.ts";

export interface StoredResponse {
  /** `resp_...`, as the client knows it. */
  readonly id: string;
  readonly tenant: string;
  /** Whose it is within the tenant: no other caller finds it. */
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** The conversation up to and including the answer, for the next call to continue. */
  readonly messages: readonly Message[];
  /** JSON text of the response object as the client got it. */
  readonly responseJson: string;
  /** JSON text of each input item, in order, ids filled in. */
  readonly inputItemsJson: readonly string[];
}

export interface ResponseStore {
  put(response: StoredResponse): Promise<void>;
  /** Undefined where it is unknown, another's, deleted or too old. */
  get(tenant: string, owner: string, id: string): Promise<StoredResponse | undefined>;
  /** Whether it was there. */
  delete(tenant: string, owner: string, id: string): Promise<boolean>;
}
