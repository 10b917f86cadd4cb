/** GET and DELETE /sim/...: the books, over HTTP. */
import type { Books } from "./bill.ts";
import type { Exchange } from "./exchange.ts";

/** Gives false where the path is none of these. */
export async function answerControl(exchange: Exchange, path: string, books: Books, clear: () => void): Promise<boolean> {
  const { method } = exchange.request;
  if (!path.startsWith("/sim/")) return false;
  if (path === "/sim/bill" && method === "GET") await exchange.json(200, { bill: books.bill() });
  else if (path === "/sim/requests" && method === "GET") await exchange.json(200, { requests: books.requests() });
  else if ((path === "/sim/bill" || path === "/sim/requests") && method === "DELETE") {
    clear();
    exchange.head(204, {});
    exchange.end();
  } else await exchange.json(404, { error: "there are GET and DELETE /sim/bill and /sim/requests" });
  return true;
}
