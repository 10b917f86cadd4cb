/** connect-web in headless Chromium, from a page of another origin: what a browser application does. */

import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { GenerateRequestSchema, GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { answerOfEvents } from "./event-answer.ts";
import type { Client } from "./question.ts";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));

/** Why browser tests cannot run here; undefined where they can. */
export const noBrowser = executable === undefined ? "no Chromium on this machine (apt-get install chromium)" : undefined;

export interface BrowserPage {
  /** Origin of the page, for the gateway's CORS list. */
  readonly origin: string;
  client(url: string): Client;
  close(): Promise<void>;
}

interface PageAnswer {
  readonly events: JsonValue[];
  readonly failure?: { readonly reason: string; readonly message: string };
}

export async function openPage(): Promise<BrowserPage> {
  const bundle = await build({
    entryPoints: [new URL("./browser-page.ts", import.meta.url).pathname],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    logLevel: "error",
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>client</title><script src=/page.js></script>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser: Browser = await chromium.launch({
    executablePath: executable ?? "",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const page = await browser.newPage();
  await page.goto(origin);
  return {
    origin,
    client: (url) => ({
      name: "connect-web in Chromium",
      async ask({ core }) {
        const request = toJson(GenerateRequestSchema, create(GenerateRequestSchema, core));
        const answer: PageAnswer = JSON.parse(
          await page.evaluate(
            ([base, body]) => (globalThis as unknown as { ask(base: string, body: string): Promise<string> }).ask(base, body),
            [url, JSON.stringify(request)] as const,
          ),
        );
        return answerOfEvents(
          answer.events.map((event) => fromJson(GenerateResponseSchema, event)),
          answer.failure,
        );
      },
    }),
    async close() {
      await browser.close();
      server.close();
      server.closeAllConnections();
    },
  };
}
