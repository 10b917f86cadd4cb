/** The signatures of all workers, in the memory of their primary process: the next turn may reach another worker. */
import type { Signature } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CallSignatures, SignatureStore } from "../core/signature-store.ts";
import type { SharedService, WorkerLink } from "../core/worker-link.ts";

const topics = {
  remember: "signatures.remember",
  rememberCall: "signatures.remember-call",
  issuers: "signatures.issuers",
  calls: "signatures.calls",
} as const;

interface RememberBody {
  readonly owner: string;
  readonly signatures: readonly Signature[];
}

interface RememberCallBody {
  readonly owner: string;
  readonly callId: string;
  readonly signatures: CallSignatures;
}

interface LookBody {
  readonly owner: string;
  readonly names: readonly string[];
}

/** The primary's half. */
export function serveSignatures(store: SignatureStore): SharedService {
  return {
    handlers: {
      [topics.remember](body) {
        const { owner, signatures } = body as RememberBody;
        store.remember(owner, signatures);
      },
      [topics.rememberCall](body) {
        const { owner, callId, signatures } = body as RememberCallBody;
        store.rememberCall(owner, callId, signatures);
      },
      [topics.issuers](body) {
        const { owner, names } = body as LookBody;
        return store.issuers(owner, names);
      },
      [topics.calls](body) {
        const { owner, names } = body as LookBody;
        return store.calls(owner, names);
      },
    },
  };
}

/** A worker's half. What the primary does not tell counts as forgotten: that costs quality, never a call. */
export function createSharedSignatures(link: WorkerLink): SignatureStore {
  async function look<Found>(topic: string, owner: string, names: readonly string[]): Promise<readonly (Found | undefined)[]> {
    if (names.length === 0) return [];
    const body: LookBody = { owner, names };
    try {
      return (await link.ask(topic, body)) as readonly (Found | undefined)[];
    } catch {
      return names.map(() => undefined);
    }
  }
  return {
    remember(owner, signatures) {
      link.tell(topics.remember, { owner, signatures } satisfies RememberBody);
    },
    rememberCall(owner, callId, signatures) {
      link.tell(topics.rememberCall, { owner, callId, signatures } satisfies RememberCallBody);
    },
    issuers: (owner, values) => look(topics.issuers, owner, values),
    calls: (owner, callIds) => look(topics.calls, owner, callIds),
  };
}
