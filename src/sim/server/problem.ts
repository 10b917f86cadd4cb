/** What a simulated vendor refuses or fails with, before it is put into that vendor's envelope. */
export interface Problem {
  readonly status: number;
  readonly message?: string;
  /** OpenAI and Anthropic error.type, Gemini error.status; by the status where absent. */
  readonly type?: string;
  readonly code?: string | null;
  readonly param?: string | null;
  /** Value of Retry-After. */
  readonly retryAfter?: string;
  /** Gemini: fields that are wrong. */
  readonly fields?: readonly { readonly field: string; readonly description: string }[];
  /** Gemini: ErrorInfo.reason. */
  readonly reason?: string;
}

/** Thrown by checks; answered in the vendor's words. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message ?? `status ${problem.status}`);
    this.problem = problem;
  }
}

/** A page as a load balancer would send it. */
export function htmlPage(status: number, title: string): string {
  return `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n<hr><center>sim</center>\r\n</body>\r\n</html>\r\n`;
}
