import { describe, expect, test } from "vitest";
import type { Endpoint } from "../../src/facade/endpoint.ts";
import { createPathMatcher } from "../../src/facade/match-path.ts";

function at(method: Endpoint["method"], path: string): Endpoint {
  return { method, path, scope: "chat", answer: async () => {} };
}

const match = createPathMatcher([
  at("POST", "/v1/responses"),
  at("POST", "/v1/responses/input_tokens"),
  at("GET", "/v1/responses/{id}"),
  at("DELETE", "/v1/responses/{id}"),
  at("POST", "/v1/responses/{id}/cancel"),
  at("GET", "/v1/models/{model+}"),
  at("POST", "/v1/models/{model+}:generateContent"),
  at("POST", "/v1.beta/x"),
]);

describe("what a path means", () => {
  test.each([
    ["POST", "/v1/responses", "/v1/responses", {}],
    ["POST", "/v1/responses/input_tokens", "/v1/responses/input_tokens", {}],
    ["GET", "/v1/responses/resp_1", "/v1/responses/{id}", { id: "resp_1" }],
    ["HEAD", "/v1/responses/resp_1", "/v1/responses/{id}", { id: "resp_1" }],
    ["DELETE", "/v1/responses/resp_1", "/v1/responses/{id}", { id: "resp_1" }],
    ["POST", "/v1/responses/resp_1/cancel", "/v1/responses/{id}/cancel", { id: "resp_1" }],
    ["GET", "/v1/models/a/b:8b", "/v1/models/{model+}", { model: "a/b:8b" }],
    ["POST", "/v1/models/a/b:8b:generateContent", "/v1/models/{model+}:generateContent", { model: "a/b:8b" }],
    ["POST", "/v1/models/a%2Fb%3A8b:generateContent", "/v1/models/{model+}:generateContent", { model: "a/b:8b" }],
    ["GET", "/v1/models/%E6%A8%A1", "/v1/models/{model+}", { model: "模" }],
  ])("%s %s", (method, path, pattern, params) => {
    const found = match(method, path);
    expect(found.endpoint.path).toBe(pattern);
    expect({ ...found.params }).toEqual(params);
  });

  test.each([
    ["POST", "/v1/responsesX"],
    ["POST", "/v1/responses/"],
    ["GET", "/v1/responses/a/b"],
    ["GET", "/V1/responses/a"],
    ["GET", "/v1/models/"],
    ["POST", "/v1xbeta/x"],
  ])("%s %s is nothing", (method, path) => {
    expect(() => match(method, path)).toThrow(expect.objectContaining({ reason: "route_not_found" }));
  });

  test("another method is told those that there are", () => {
    expect(() => match("PUT", "/v1/responses/resp_1")).toThrow(
      expect.objectContaining({ details: { status: 405, headers: { allow: "GET, HEAD, DELETE" } } }),
    );
  });

  test("a path that cannot be decoded is refused", () => {
    expect(() => match("GET", "/v1/models/%zz")).toThrow(expect.objectContaining({ reason: "invalid_request" }));
  });
});
