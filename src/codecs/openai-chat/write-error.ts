/** A failure in OpenAI's envelope. */
export { writeOpenAiError as writeChatError } from "../../core/openai-error.ts";
