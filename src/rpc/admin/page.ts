/** page_size and page_token of the contract, and the pages of stores. */
import { maxPageSize, type PageRequest } from "../../core/page.ts";

/** What a page holds where the client does not say. */
const defaultPageSize = 100;

export function readPage({ pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string }): PageRequest {
  const size = pageSize === 0 ? defaultPageSize : Math.min(pageSize, maxPageSize);
  return pageToken === "" ? { size } : { size, cursor: pageToken };
}
