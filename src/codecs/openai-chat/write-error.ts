/** A failure in OpenAI's envelope. */
export { type OpenAiError as ChatError, writeOpenAiError as writeChatError } from "../../core/openai-error.ts";
