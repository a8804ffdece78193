// A provider of OpenID Connect for tests: oidc-provider, certified by the OpenID Foundation.
//
//   node provider.mjs MODULES PORT KEY
//
// MODULES is the folder `node_modules`, PORT is 0 for a free one, and KEY names the key that signs. It prints its
// issuer. Every visitor is Ada. The paths below `/control` misuse it: see `control`.
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [modules, port, keyName] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

/** Rows of every model by their ids; tests look at them and change them. */
const rows = new Map();
/** What the next ID tokens say in place of the truth. */
let lies = {};
/** The last ID token that was signed. */
let lastIdToken = null;
/** How often each path was requested. */
const requests = {};

class Memory {
  constructor(name) {
    this.name = name;
  }
  key(id) {
    return `${this.name}:${id}`;
  }
  async upsert(id, payload) {
    rows.set(this.key(id), { ...payload });
  }
  async find(id) {
    return rows.get(this.key(id));
  }
  async findByUid(uid) {
    return [...rows.entries()].find(([key, row]) => key.startsWith(`${this.name}:`) && row.uid === uid)?.[1];
  }
  async findByUserCode() {
    return undefined;
  }
  async consume(id) {
    rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    rows.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, row] of rows) if (row.grantId === grantId) rows.delete(key);
  }
}

const { privateKey } = keyName.startsWith("ec")
  ? generateKeyPairSync("ec", { namedCurve: "P-256" })
  : generateKeyPairSync("rsa", { modulusLength: 2048 });
const algorithm = keyName.startsWith("ec") ? "ES256" : "RS256";
const key = { ...privateKey.export({ format: "jwk" }), kid: keyName, use: "sig", alg: algorithm };

const ada = {
  sub: "ada-7",
  name: "Ada Lovelace",
  email: "ada@example.com",
  email_verified: true,
};

/** Signs an ID token anew, with the lies in it. */
function falsify(token) {
  const [head, payload] = token.split(".");
  const claims = { ...JSON.parse(Buffer.from(payload, "base64url")), ...lies };
  const covered = `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  const signature = sign("sha256", Buffer.from(covered), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${covered}.${signature.toString("base64url")}`;
}

const server = createServer();
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    adapter: Memory,
    clients: [
      {
        client_id: "app",
        client_secret: "the secret of the application",
        // A native client on this machine may come back to any port (RFC 8252 §7.3).
        application_type: "native",
        redirect_uris: ["http://127.0.0.1/login/sso/callback", "http://127.0.0.1/login/plain/callback"],
        grant_types: ["authorization_code"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_basic",
        id_token_signed_response_alg: algorithm,
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: ["a key of the cookies of a test"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ada }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    ttl: { AccessToken: 600, AuthorizationCode: 600, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  });
  const issue = provider.IdToken.prototype.issue;
  provider.IdToken.prototype.issue = async function (...all) {
    lastIdToken = await issue.apply(this, all);
    if (Object.keys(lies).length > 0) lastIdToken = falsify(lastIdToken);
    return lastIdToken;
  };
  const serve = provider.callback();

  /** Logs the visitor in as Ada, and grants what the application asks for. */
  async function interact(request, response) {
    const { params, prompt, session } = await provider.interactionDetails(request, response);
    if (params.login_hint === "cancel" || lies.cancels) {
      return provider.interactionFinished(request, response, { error: "access_denied" });
    }
    if (prompt.name === "login") {
      return provider.interactionFinished(request, response, { login: { accountId: ada.sub } });
    }
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid email profile");
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  }

  /** What tests ask for beside the protocol. */
  function control(url) {
    switch (url.pathname) {
      case "/control/expire-codes":
        for (const [name, row] of rows) if (name.startsWith("AuthorizationCode:")) row.exp = 1;
        return {};
      case "/control/lie":
        lies = JSON.parse(url.searchParams.get("claims"));
        return {};
      case "/control/requests":
        return requests;
      case "/control/id-token":
        return { token: lastIdToken };
    }
    return { error: "no such control" };
  }

  server.on("request", (request, response) => {
    const url = new URL(request.url, issuer);
    requests[url.pathname] = (requests[url.pathname] ?? 0) + 1;
    if (url.pathname.startsWith("/interaction/")) {
      interact(request, response).catch((error) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    } else if (url.pathname.startsWith("/control/")) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(control(url)));
    } else {
      serve(request, response);
    }
  });
  console.log(issuer);
});
// The test holds the other end; its end is the end of this process.
process.stdin.on("end", () => process.exit()).resume();
