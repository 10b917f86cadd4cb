/** Promise 13 (reliability.md 1, X19): the relay changes no byte of an answer's body. */
import { runRelayIdentity } from "../story/relay-identity-run.ts";
import type { EnduranceRun } from "./endurance-run.ts";

export const relayIdentityRun: EnduranceRun = {
  name: "relay-identity",
  about:
    "Random answers in every format that clients and providers share, whole and streamed. SHA-256 of what the provider sent and of what the client got are equal.",
  options: { bodies: 10_000, "identity-seed": 1 },
  async run({ bodies = 1, "identity-seed": seed = 1 }, print) {
    const { compared, bytes, changed } = await runRelayIdentity({ seed, count: bodies });
    for (const line of changed.slice(0, 50)) print(line);
    const total = Object.values(compared).reduce((sum, count) => sum + count, 0);
    return {
      passed: changed.length === 0 && total === bodies,
      lines: [
        "| bodies | formats | MiB compared | equal | changed |",
        "| ---: | ---: | ---: | ---: | ---: |",
        `| ${total} | ${Object.keys(compared).length} | ${(bytes / 2 ** 20).toFixed(1)} | ${total - changed.length} | ${changed.length} |`,
      ],
    };
  },
};
