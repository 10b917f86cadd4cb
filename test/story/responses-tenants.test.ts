/**
 * What is kept of OpenAI Responses belongs to the key that made it: across restarts on both stores, and where a provider keeps
 * it, whose account all tenants share (reliability.md 2.4, ISO-1).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { createTenant, rootKey, type Tenant } from "./isolation-tenant.ts";

const memberOf = ({ keys }: Tenant) => keys.find(({ role }) => role === "MEMBER")?.secret ?? "";

function open({ url }: Gateway, tenant: Tenant): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: memberOf(tenant), maxRetries: 0 });
}

const missing = whyNoPostgres();
if (missing !== undefined) process.stdout.write(`skipped on PostgreSQL: answers after a restart: ${missing}\n`);

let server: PostgresServer | undefined;
beforeAll(async () => {
  if (missing === undefined) server = await startPostgresServer();
});
afterAll(() => server?.remove());

describe.each(["sqlite", "postgres"])("answers on %s", (engine) => {
  test.skipIf(engine === "postgres" && missing !== undefined)(
    "are continued after a restart by the key that made them, and are not there for another tenant",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "dragoman-responses-"));
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      const shared =
        engine === "sqlite" ? { engine } : { engine, database_url: (await server?.createDatabase()) ?? "", migrate_on_start: true };
      const start = () => startGateway({ config: { auth: { enabled: true, api_key: rootKey }, stores: shared, data_dir: directory } });

      const before = await start();
      const tenants = [await createTenant(before, "wombat"), await createTenant(before, "quokka")] as const;
      const mine = open(before, tenants[0]);
      const first = await mine.responses.create({ model: "claude/sim-echo", input: "the first of all words" });
      const second = await mine.responses.create({ model: "chat/sim-echo", input: "the second", previous_response_id: first.id });
      await before.close();

      const after = await start();
      try {
        const again = open(after, tenants[0]);
        expect(await again.responses.retrieve(second.id)).toMatchObject({ output_text: "the second", previous_response_id: first.id });
        const third = await again.responses.create({ model: "gem/sim-echo", input: "the third", previous_response_id: second.id });
        expect(third.output_text).toBe("the third");
        const sent = JSON.stringify(after.sim.requests().at(-1)?.body);
        for (const words of ["the first of all words", "the second", "the third"]) expect(sent).toContain(words);

        const other = open(after, tenants[1]);
        for (const ask of [
          () => other.responses.retrieve(second.id),
          () => other.responses.delete(second.id),
          () => other.responses.inputItems.list(second.id),
        ]) {
          await expect(ask()).rejects.toBeInstanceOf(OpenAI.NotFoundError);
        }
        const continued = other.responses.create({ model: "gem/sim-echo", input: "mine now", previous_response_id: second.id });
        await expect(continued).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
        expect((await again.responses.retrieve(third.id)).output_text).toBe("the third");
      } finally {
        await after.close();
      }
    },
    120_000,
  );
});

describe("what a provider keeps", () => {
  /** A gateway before a provider that speaks Responses, and an answer of the first tenant that the provider keeps. */
  async function openKept(responsesStore: object = {}) {
    const gateway = await startGateway({
      configure: ({ url }) => ({
        auth: { enabled: true, api_key: rootKey },
        responses_store: responsesStore,
        providers: { vendor: { type: "openai-responses", base_url: `${url}/v1`, api_key: "sk-story-shared" } },
      }),
    });
    onTestFinished(() => gateway.close());
    const tenants = [await createTenant(gateway, "wombat"), await createTenant(gateway, "quokka")] as const;
    const complete = async (tenant: Tenant, text: string, serverState: object) => {
      const message = { role: "ROLE_USER", parts: [{ text }] };
      const answer = await fetch(`${gateway.url}/dragoman.v1.InferenceService/Complete`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${memberOf(tenant)}` },
        body: JSON.stringify({ generate: { model: "vendor/sim-echo", messages: [message], serverState } }),
      });
      return { status: answer.status, body: (await answer.json()) as { started?: { upstreamId?: string }; message?: string } };
    };
    const kept = await complete(tenants[0], "a secret of the wombat", { store: true });
    // It is the caller's to see, as everything in the answer.
    const id = kept.body.started?.upstreamId ?? "";
    expect(id).toMatch(/^resp_/);
    gateway.sim.clear();
    return { gateway, tenants, complete, id, other: open(gateway, tenants[1]) };
  }

  test("is not there for callers, whichever tenant they are of, in whatever way they name it", async () => {
    const { gateway, tenants, complete, id, other } = await openKept();
    const model = "vendor/sim-echo";
    const continued = other.responses.create({ model, input: "go on", previous_response_id: id });
    await expect(continued).rejects.toMatchObject({
      status: 400,
      param: "previous_response_id",
      message: expect.stringContaining("no such"),
    });
    const streamed = other.responses.create({ model, input: "go on", previous_response_id: id, stream: true, store: false });
    await expect(streamed).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
    const counted = other.responses.inputTokens.count({ model, input: "go on", previous_response_id: id });
    await expect(counted).rejects.toMatchObject({ status: 400, param: "previous_response_id" });
    const talking = other.responses.create({ model, input: "go on", conversation: "conv_1" });
    await expect(talking).rejects.toMatchObject({ status: 404, param: "conversation" });
    for (const store of [true, false]) {
      const input = [
        { role: "user" as const, content: "what is this?" },
        { type: "item_reference" as const, id: "msg_1" },
      ];
      await expect(other.responses.create({ model, input, store })).rejects.toMatchObject({ status: 404, param: "input[1]" });
    }
    for (const tenant of tenants) {
      expect(await complete(tenant, "go on", { previousId: id })).toMatchObject({
        status: 400,
        body: { message: expect.stringMatching(/^server_state.previous_id/) },
      });
      expect((await complete(tenant, "go on", { conversationId: "conv_1" })).status).toBe(400);
    }
    expect(gateway.sim.requests()).toEqual([]);
  });

  test("can be named where the operator says so", async () => {
    const { gateway, id, other } = await openKept({ upstream_ids: true });
    const answer = await other.responses.create({ model: "vendor/sim-echo", input: "go on", previous_response_id: id });
    expect(answer.output_text).toBe("go on");
    expect(gateway.sim.requests().at(-1)?.body).toMatchObject({ previous_response_id: id });
  });
});
