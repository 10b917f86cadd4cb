import { defineConfig } from "vitest/config";

/** `unit` is quick and part of `npm run check`; `story` runs the whole product over real sockets with real clients. */
export default defineConfig({
  test: {
    // Many tests wait for sockets and timers: two share a core well.
    maxWorkers: 3,
    projects: [
      {
        // Quick on an idle machine; patient on one that is not.
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/story/**", "test/matrix/**", "test/bench/**", "test/cluster/workers.test.ts"],
          testTimeout: 20_000,
        },
      },
      { test: { name: "matrix", include: ["test/matrix/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 60_000 } },
      {
        test: {
          name: "story",
          include: ["test/story/**/*.test.ts", "test/cluster/workers.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
