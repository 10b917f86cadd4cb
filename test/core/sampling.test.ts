import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { type Sampling, SamplingSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { dropAbsent, dropRandomness, type SamplingName, visibleStops } from "../../src/core/sampling.ts";
import { TranslationReport } from "../../src/core/translation.ts";

const all: readonly SamplingName[] = ["seed", "frequency_penalty", "repetition_penalty", "min_p", "logprobs", "top_logprobs", "logit_bias"];

function dropped(write: (sampling: Sampling, report: TranslationReport) => void, init: Partial<Sampling>): string[] {
  const report = new TranslationReport("x");
  write(create(SamplingSchema, init as object), report);
  return report.notes.map(({ path }) => path);
}

describe("what a target does not take", () => {
  test("is noted where it says something", () => {
    const said = {
      seed: 0n,
      frequencyPenalty: -1,
      repetitionPenalty: 1.1,
      minP: 0.1,
      logprobs: true,
      topLogprobs: 1,
      logitBias: { "1": 1 },
    };
    expect(dropped((sampling, report) => dropAbsent(sampling, all, report), said)).toEqual(all.map((name) => `sampling.${name}`));
    expect(dropped((sampling, report) => dropRandomness(sampling, "d", report), { temperature: 0, topP: 0.5, topK: 0 })).toEqual([
      "sampling.temperature",
      "sampling.top_p",
      "sampling.top_k",
    ]);
  });

  test("is no loss where it changes nothing", () => {
    const neutral = { frequencyPenalty: 0, repetitionPenalty: 1, minP: 0, logprobs: false, topLogprobs: 0, temperature: 1, topP: 1 };
    expect(dropped((sampling, report) => dropAbsent(sampling, all, report), neutral)).toEqual([]);
    expect(dropped((sampling, report) => dropRandomness(sampling, "d", report), neutral)).toEqual([]);
  });
});

test("stop texts of white space are left out, each at its place", () => {
  const report = new TranslationReport("x");
  expect(visibleStops(["END", " ", "\n\n", "."], report)).toEqual(["END", "."]);
  expect(report.notes.map(({ path }) => path)).toEqual(["sampling.stop[1]", "sampling.stop[2]"]);
  expect(visibleStops(["\t"], report)).toBeUndefined();
});
