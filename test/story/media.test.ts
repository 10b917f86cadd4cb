/** Media by URL for an upstream that takes data alone: fetched where the operator allows it, refused with its place where not. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { providersOf } from "../matrix/upstreams.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
let asked = 0;
const images = createServer((_, response) => {
  asked++;
  response.writeHead(200, { "content-type": "image/png" }).end(png);
});
let fetching: Gateway;
let refusing: Gateway;
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => images.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(images.address() as AddressInfo).port}`;
  url = `http://${host}/cat.png`;
  const configure = (media: object) => (sim: Gateway["sim"]) => ({ providers: providersOf(sim), media });
  fetching = await startGateway({ configure: configure({ fetch: true, private_hosts: [host] }) });
  refusing = await startGateway({ configure: configure({}) });
});

afterAll(async () => {
  await fetching?.close();
  await refusing?.close();
  images.close();
});

const ask = (gateway: Gateway) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "amazon/sim-echo",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url } },
          ],
        },
      ],
    }),
  });

test("an image by URL reaches Bedrock as data, and the report says how", async () => {
  const response = await ask(fetching);
  expect(response.status).toBe(200);
  expect(asked).toBe(1);
  const sent = JSON.stringify(fetching.sim.requests().at(-1)?.body);
  expect(sent).toContain(png.toString("base64"));
  expect(sent).not.toContain(url);
  expect(response.headers.get("x-dragoman-translation")).toContain("messages[0].content[1].image_url");
});

test("without leave it is refused, in the client's words, and nothing is fetched", async () => {
  const before = asked;
  const response = await ask(refusing);
  expect(response.status).toBe(400);
  expect(response.headers.get("x-dragoman-error-reason")).toBe("untranslatable");
  expect(await response.json()).toMatchObject({ error: { param: "messages[0].content[1].image_url" } });
  expect(asked).toBe(before);
});
