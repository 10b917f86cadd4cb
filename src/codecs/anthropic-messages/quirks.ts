/** Where providers of the Messages API differ, as data in their tables. */
export interface AnthropicMessagesQuirks {
  /** Below the base URL, which has no version in it. */
  readonly path: string;
  /** Header `anthropic-version`. */
  readonly version: string;
  /** Header `anthropic-beta`, joined. */
  readonly betas: readonly string[];
  /** Whether `attribution.end_user_id` is sent as `metadata.user_id`. */
  readonly sendsEndUserId: boolean;
}

export const defaultQuirks: AnthropicMessagesQuirks = {
  path: "/v1/messages",
  version: "2023-06-01",
  betas: [],
  sendsEndUserId: false,
};
