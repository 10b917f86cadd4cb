/** What can go wrong on purpose (reliability.md 4.2). One table: scripts, model names, the server and the manual read it. */

export interface FaultFacts {
  /** `head`: instead of an answer, before its first byte. `stream`: at its place in the answer. `mode`: from its place on. */
  readonly place: "head" | "stream" | "mode";
  readonly about: string;
}

export const faults = {
  refuse: { place: "head", about: "the connection is reset before any byte of an answer" },
  reset_before: { place: "head", about: "the same as refuse" },
  stall_before: { place: "head", about: "no byte of an answer ever comes" },
  rate_limit: { place: "head", about: "429 with Retry-After 2 (`retry_after` sets it)" },
  rate_limit_date: { place: "head", about: "429 with Retry-After as an HTTP date 2 s ahead" },
  rate_limit_huge: { place: "head", about: "429 with Retry-After 1000000000" },
  rate_limit_negative: { place: "head", about: "429 with Retry-After -1" },
  rate_limit_junk: { place: "head", about: "429 with Retry-After `soon`" },
  rate_limit_none: { place: "head", about: "429 without Retry-After" },
  quota: { place: "head", about: "the vendor's word for a used-up budget: repeating does not help" },
  status_500: { place: "head", about: "the vendor's 500" },
  status_502: { place: "head", about: "the vendor's 502" },
  status_503: { place: "head", about: "the vendor's 503" },
  status_504: { place: "head", about: "the vendor's 504" },
  status_529: { place: "head", about: "the vendor's 529 (overloaded)" },
  html_500: { place: "head", about: "500 with a page of HTML" },
  html_502: { place: "head", about: "502 with a page of HTML" },
  html_503: { place: "head", about: "503 with a page of HTML" },
  html_504: { place: "head", about: "504 with a page of HTML" },
  html_529: { place: "head", about: "529 with a page of HTML" },
  html_200: { place: "head", about: "200 with a page of HTML" },
  error_in_200: { place: "head", about: "200 whose JSON body is the vendor's error" },
  empty_stream: { place: "head", about: "200 with the right content type and no body" },
  redirect: { place: "head", about: "307 to another origin (`status`, `location` set it)" },
  redirect_301: { place: "head", about: "301 to another origin" },
  redirect_302: { place: "head", about: "302 to another origin" },
  redirect_303: { place: "head", about: "303 to another origin" },
  redirect_308: { place: "head", about: "308 to another origin" },
  redirect_metadata: { place: "head", about: "307 to the address of cloud metadata" },
  compression_bomb: { place: "head", about: "gzip, although not asked for: 0.5 MB that open to 512 MiB (`bytes` sets it)" },
  stacked_encodings: { place: "head", about: "Content-Encoding that names gzip 1000 times (`count` sets it)" },
  length_long: { place: "head", about: "Content-Length above what is sent, then the end" },
  length_short: { place: "head", about: "Content-Length below what is sent" },
  chunk_junk: { place: "head", about: "a chunk whose size is no number" },
  informational_flood: { place: "head", about: "10 000 answers with status 103 before anything else (`count` sets it)" },
  repeated_headers: { place: "head", about: "two different Content-Length headers" },
  json_for_sse: { place: "mode", about: "a JSON body where a stream was asked for; only before content" },
  sse_for_json: { place: "mode", about: "a stream where a JSON body was asked for; only before content" },
  reset: { place: "stream", about: "the connection is reset (after `bytes` bytes of what follows, where given)" },
  stall: { place: "stream", about: "silence until the client goes" },
  malformed: { place: "stream", about: "a record that is no JSON, then the stream goes on" },
  truncated_json: { place: "stream", about: "half a record, then the end of the stream" },
  bad_utf8: { place: "stream", about: "bytes that are no UTF-8 inside a record" },
  half_surrogate: { place: "stream", about: "a record with half a surrogate pair" },
  huge_event: { place: "stream", about: "one record of 16 MiB and 1 byte (`bytes` sets it)" },
  endless_line: { place: "stream", about: "256 MiB without a line end (`bytes` sets it)" },
  empty_lines: { place: "stream", about: "100 000 empty data lines (`count` sets it)" },
  comment_flood: { place: "stream", about: "100 000 comment lines (`count` sets it)" },
  ping_flood: { place: "stream", about: "10 000 keep-alive records in the vendor's form (`count` sets it)" },
  no_end: { place: "stream", about: "the stream ends here, without an end mark" },
  double_end: { place: "mode", about: "the end mark comes twice" },
  data_after_end: { place: "mode", about: "content after the end mark" },
  error_event: { place: "stream", about: "the vendor's error record inside the stream" },
  unknown_event: { place: "stream", about: "a record of an unknown type" },
  unknown_field: { place: "mode", about: "a field that no one knows in every record, or in the JSON body" },
  drip: { place: "mode", about: "1 byte every 20 ms (`bytes`, `interval_ms` set it)" },
  split_utf8: { place: "mode", about: "every byte of a character in a write of its own" },
  cr: { place: "mode", about: "lines end with CR alone" },
  crlf_split: { place: "mode", about: "lines end with CRLF, CR and LF in writes of their own" },
  bom: { place: "mode", about: "a byte order mark first; only before content" },
  nul: { place: "mode", about: "NUL characters in comment and id lines" },
  no_blank_line: { place: "mode", about: "the last record is not followed by a blank line" },
  usage_absent: { place: "mode", about: "no usage" },
  usage_zero: { place: "mode", about: "every count is 0" },
  usage_negative: { place: "mode", about: "every count is negative" },
  usage_huge: { place: "mode", about: "every count is 2^53" },
  usage_string: { place: "mode", about: "every count is a string" },
  usage_repeated: { place: "mode", about: "usage comes three times" },
  usage_falling: { place: "mode", about: "usage comes three times, falling to the true counts" },
} as const satisfies Record<string, FaultFacts>;

export type FaultName = keyof typeof faults;

export const faultNames = Object.keys(faults) as FaultName[];

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(faults, name);
}

/** Whether a fault has its place before all content: a script that has it later is refused. */
export function mustComeFirst(name: FaultName): boolean {
  return faults[name].place === "head" || name === "json_for_sse" || name === "sse_for_json" || name === "bom";
}

/** A fault with its settings. */
export interface Fault {
  readonly name: FaultName;
  readonly bytes?: number;
  readonly count?: number;
  readonly intervalMs?: number;
  readonly status?: number;
  readonly location?: string;
  readonly retryAfter?: string;
}
