/** Certificates of connections to a provider, as the configuration names them. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readProviderSettings } from "../../src/app/read-provider-settings.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { type Config, configSchema } from "../../src/config/schema.ts";

const file = (name: string) => join(import.meta.dirname, "../fixtures/tls", name);

function settingsWith(tls: object) {
  const config = configSchema.parse({ providers: { mine: { type: "xai-grpc", base_url: "https://up.example", tls } } }) as Config;
  return readProviderSettings(config, {}).settings.get("mine");
}

describe("providers.*.tls", () => {
  test("is read from files, the key as a secret", () => {
    const settings = settingsWith({ ca_file: file("certificate.pem"), cert_file: file("client.pem"), key_file: file("client-key.pem") });
    expect(settings?.certificateAuthority).toContain("BEGIN CERTIFICATE");
    expect(settings?.clientCertificate?.key.reveal()).toContain("PRIVATE KEY");
    expect(JSON.stringify(settings)).not.toContain("PRIVATE KEY");
  });

  test.each([
    [{ ca_file: file("no-such.pem") }, "providers.mine.tls.ca_file: cannot be read"],
    [{ ca_file: file("README.md"), cert_file: file("client.pem"), key_file: file("key.pem") }, "providers.mine.tls: holds no PEM"],
  ])("%j says what is wrong and where", (tls, message) => {
    expect(() => settingsWith(tls)).toThrow(ConfigError);
    expect(() => settingsWith(tls)).toThrow(message);
  });

  test("a certificate without its key is refused by the schema", () => {
    expect(() => settingsWith({ cert_file: file("client.pem") })).toThrow("only one of cert_file and key_file");
  });
});
