/**
 * Names of providers on both sides of a chain of gateways. What a provider of the inner gateway issued (a signature, a
 * stored file) is marked `inner/claude` outside, where `inner` is the inner gateway's name here, and `claude` again when it
 * goes back there. What another provider of this gateway issued goes in as `../gem`: no provider there has such a name.
 */
import type { EmbedInput } from "../../gen/dragoman/v1/embed_pb.ts";
import type { Media, Message, Part, ProviderFile } from "../../gen/dragoman/v1/generate_pb.ts";
import type { GenerateEvent } from "../core/event.ts";
import type { TranslationReport } from "../core/translation.ts";

/** Names for one inner gateway. */
export class ChainNames {
  readonly #prefix: string;

  /** `name` is the inner gateway's configured name here. */
  constructor(name: string) {
    this.#prefix = `${name}/`;
  }

  /** A provider of the inner gateway, as it is called here. */
  outward(provider: string): string {
    return this.#prefix + provider;
  }

  /** A provider as the inner gateway shall see it. */
  inward(provider: string): string {
    if (provider === "") return "";
    return provider.startsWith(this.#prefix) ? provider.slice(this.#prefix.length) : `../${provider}`;
  }

  /** A name that the inner gateway has no provider for. */
  isElsewhere(inwardName: string): boolean {
    return inwardName.startsWith("../");
  }

  /** The messages as they go in; those without names are the very same. Files stored elsewhere are refused in the report. */
  messagesInward(messages: readonly Message[], report: TranslationReport): Message[] {
    return messages.map((message, index) => ({ ...message, parts: this.#partsInward(message.parts, `messages[${index}].parts`, report) }));
  }

  inputsInward(inputs: readonly EmbedInput[], report: TranslationReport): EmbedInput[] {
    return inputs.map((entry, index) => {
      const { input } = entry;
      if (input.case !== "parts") return entry;
      const parts = this.#partsInward(input.value.parts, `inputs[${index}].parts.parts`, report);
      return { ...entry, input: { case: "parts", value: { ...input.value, parts } } };
    });
  }

  /** Changes an event that came from the inner gateway. */
  renameEvent({ event }: GenerateEvent): void {
    if (event.case !== "blockEnded") return;
    const { signature, media } = event.value;
    if (signature !== undefined) signature.provider = this.outward(signature.provider);
    const file = media === undefined ? undefined : fileOf(media);
    if (file !== undefined) file.provider = this.outward(file.provider);
  }

  #partsInward(parts: readonly Part[], path: string, report: TranslationReport): Part[] {
    return parts.map((part, index) => this.#partInward(part, `${path}[${index}]`, report));
  }

  #partInward(part: Part, path: string, report: TranslationReport): Part {
    const { signature } = part;
    const renamed =
      signature === undefined || signature.provider === ""
        ? part
        : { ...part, signature: { ...signature, provider: this.inward(signature.provider) } };
    const { part: content } = renamed;
    switch (content.case) {
      case "image":
      case "audio":
      case "file":
      case "video":
        return { ...renamed, part: { case: content.case, value: this.#mediaInward(content.value, `${path}.${content.case}`, report) } };
      case "toolResult": {
        const inner = this.#partsInward(content.value.content, `${path}.tool_result.content`, report);
        return { ...renamed, part: { case: "toolResult", value: { ...content.value, content: inner } } };
      }
      default:
        return renamed;
    }
  }

  #mediaInward(media: Media, path: string, report: TranslationReport): Media {
    const file = fileOf(media);
    if (file === undefined || file.provider === "") return media;
    const provider = this.inward(file.provider);
    if (this.isElsewhere(provider)) report.refused(`${path}.provider_file`, "is stored at another provider");
    return { ...media, source: { case: "providerFile", value: { ...file, provider } } };
  }
}

function fileOf({ source }: Media): ProviderFile | undefined {
  return source.case === "providerFile" ? source.value : undefined;
}
