/** `cache_control` of blocks, tools, messages and of the whole request. */
import { create } from "@bufbuild/protobuf";
import { type CacheMarker, CacheMarkerSchema } from "../../../gen/dragoman/v1/call_pb.ts";
import { describe, type Fields } from "../../core/fields.ts";
import { isJsonObject } from "../../core/json.ts";
import { cacheLifetimes } from "./wire.ts";

/**
 * Undefined where there is none, null included. A type or lifetime that is not known here stays unread as a whole, so that
 * it survives in extras. Throws invalid_request where the member is no object.
 */
export function readCacheControl(fields: Fields): CacheMarker | undefined {
  const value = fields.peek("cache_control");
  if (value === undefined) return undefined;
  if (!isJsonObject(value)) return fields.fail("cache_control", `must be an object, not ${describe(value)}`);
  const { type, ttl = null } = value;
  const lifetime = cacheLifetimes.find((offered) => offered.ttl === ttl);
  if (type !== "ephemeral" || (ttl !== null && lifetime === undefined)) return undefined;
  const marker = fields.object("cache_control");
  marker?.string("type");
  marker?.string("ttl");
  return create(CacheMarkerSchema, lifetime === undefined ? {} : { ttlSeconds: lifetime.seconds });
}
