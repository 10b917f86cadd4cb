/** What models cost. */
import { z } from "zod";
import { readDollars } from "../../core/money.ts";
import { isRateName } from "../../core/pricing.ts";
import { count, providerName, seconds } from "../field.ts";

const rates = z
  .record(
    z.string().refine(isRateName, "is no rate; see docs/prices.md for their names"),
    z
      .union([z.string(), z.number()])
      .transform(String)
      .refine((text) => readDollars(text) !== undefined, 'is no amount; write decimal dollars, as in "0.075"'),
  )
  .refine((named) => Object.keys(named).length > 0, "is empty; name at least one rate");

const instant = z.iso.datetime({ offset: true }).or(z.iso.date());

export const price = z.strictObject({
  provider: providerName.describe("A configured provider's name"),
  model: z
    .string()
    .regex(/^[^*]*(?:\*[^*]*){0,4}$/, "has more than four *")
    .min(1)
    .max(256)
    .describe("The model's name there, or a pattern with *"),
  rates: rates.describe(
    "Dollars for 1 000 000 units, by what is counted: input, output, cache_read, requests, tool.<name>, batch.output ...",
  ),
  tiers: z
    .array(
      z.strictObject({
        above_input_tokens: count(1, 4_294_967_295).describe("The rates count for calls with more input than this"),
        rates: rates.describe("The rates that are other there"),
      }),
    )
    .default([])
    .describe("Other rates for large inputs"),
  effective_from: instant.optional().describe("It holds for attempts that begin then or later"),
  effective_until: instant.optional().describe("And before this"),
  source: z.string().max(500).optional().describe("Where the price was read, for people"),
});

export const priceData = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether vendors' list prices are taken from the data that comes with the program"),
  refresh_seconds: seconds(0.1, 3_600).default(5).describe("How often the store is asked for changed prices"),
});
