import { defineConfig } from "vitest/config";

/** Gateways in processes of their own, rates, spans and memory: they measure, so nothing may run beside them. */
const alone = [
  "test/cluster/workers.test.ts",
  "test/story/kill.test.ts",
  "test/story/limits.test.ts",
  "test/story/outage.test.ts",
  "test/story/overload.test.ts",
  "test/story/relay-memory.test.ts",
  "test/story/soak.test.ts",
  "test/story/stop.test.ts",
];

/** They start databases, programs or a model: seconds each, too long for `npm run check`. */
const slow = [
  "test/cli/{doctor,keys,ledger,main,migrate,records}.test.ts",
  "test/limits/redis-{cuts,state}.test.ts",
  "test/providers/local-embeddings.test.ts",
  "test/rpc/grpc-clients.test.ts",
  "test/stores/{away,damaged-file,isolation,ledger-conflicts,ledger-sums,migrations,request-log-plans,stores}.test.ts",
];

/** They try very many inputs, or whole gateways in this process: too long for `npm run check` as well. */
const thorough = [
  "test/codecs/cut-everywhere.test.ts",
  "test/codecs/*/{properties,round-trip}.test.ts",
  "test/providers/{grpc-vendors,http-client}.test.ts",
  "test/regular-expressions.test.ts",
  "test/request-log/{isolation,request-log}.test.ts",
  "test/rpc/{bad-input,streaming}.test.ts",
  "test/rpc/admin/{attacks,auth-requirements,foreign-ids,lockout,matrix,services}.test.ts",
  "test/server/hostile-clients.test.ts",
  "test/sim/faults.test.ts",
  "test/telemetry/safe-text.test.ts",
];

/** Many tests wait for sockets and timers: three share two cores well. */
const maxWorkers = 3;

/** To read the modules anew for each of many small files would take longer than to run them. */
const isolate = false;

/**
 * `unit` is quick and part of `npm run check`; `thorough` and `slow` mirror src as well, but take their time; `matrix` tries
 * every dialect against every format; `story` runs the whole product over real sockets with real clients; `alone` comes
 * after them, a file at a time.
 */
export default defineConfig({
  test: {
    projects: [
      {
        // Quick on an idle machine; patient on one that is not.
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/story/**", "test/matrix/**", "test/bench/**", ...thorough, ...slow, ...alone],
          testTimeout: 20_000,
          maxWorkers,
          isolate,
        },
      },
      {
        test: { name: "thorough", include: thorough, testTimeout: 30_000, maxWorkers, isolate },
      },
      {
        test: { name: "slow", include: slow, testTimeout: 30_000, hookTimeout: 60_000, maxWorkers },
      },
      {
        test: { name: "matrix", include: ["test/matrix/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 60_000, maxWorkers },
      },
      {
        test: {
          name: "story",
          include: ["test/story/**/*.test.ts"],
          exclude: alone,
          testTimeout: 30_000,
          hookTimeout: 60_000,
          maxWorkers,
        },
      },
      {
        test: {
          name: "alone",
          include: alone,
          testTimeout: 30_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
