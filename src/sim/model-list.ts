/** Models that the stand-alone server lists. Every other name works too. */
import { faultNames } from "./faults.ts";

export const listedModels: readonly { readonly id: string; readonly embeds: boolean }[] = [
  { id: "sim-echo", embeds: false },
  { id: "sim-script", embeds: false },
  { id: "sim-lenient", embeds: false },
  { id: "sim-flaky-1", embeds: false },
  { id: "sim-flaky-2", embeds: false },
  { id: "sim-embed", embeds: true },
  ...faultNames.map((name) => ({ id: `sim-fault-${name}`, embeds: false })),
];

/** Seconds since 1970. */
export const modelsCreated = Date.UTC(2025, 0, 1) / 1000;
