// Shows the shop's own descriptions, /openapi.json and /asyncapi.json, to people.

import { el, setText } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** What a schema says in a word or two, with a link where it has a name. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return el("a", { href: `#${name}`, text: name });
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.anyOf) return join(schema.anyOf.map(kind), " or ");
  if (schema.type === "array") return join(["list of ", kind(schema.items)], "");
  if (schema.properties) return fields(schema);
  return [schema.type].flat().join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

function join(parts, between) {
  return el("span", {}, ...parts.flatMap((part, at) => (at && between ? [between, part] : [part])));
}

/** The fields of an object, a row each. */
function fields(schema) {
  const rows = Object.entries(schema.properties).map(([name, inner]) => {
    const optional = schema.required?.includes(name) ? "" : "optional";
    const said = el("td", {}, inner.description ?? "");
    return el("tr", {}, el("th", { text: name }), el("td", {}, kind(inner)), el("td", { text: optional }), said);
  });
  return el("table", {}, el("tbody", {}, ...rows));
}

function who(operation) {
  const names = (operation.security ?? []).flatMap((one) => Object.keys(one));
  return names.length ? names.join(" or ").replaceAll("_", " ") : "anybody";
}

function call(document_, path, method, operation) {
  const rows = [el("tr", {}, el("th", { text: "who" }), el("td", { text: who(operation) }))];
  for (const one of operation.parameters ?? []) {
    rows.push(el("tr", {}, el("th", { text: one.name }), el("td", {}, `${one.in}: `, kind(one.schema))));
  }
  const body = operation.requestBody?.content["application/json"]?.schema;
  if (body) rows.push(el("tr", {}, el("th", { text: "body" }), el("td", {}, kind(body))));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const found = answer.$ref ? document_.components.responses[answer.$ref.split("/").pop()] : answer;
    const [content] = Object.values(found.content ?? {});
    const said = el("td", {}, `${found.description} `, kind(content?.schema));
    rows.push(el("tr", {}, el("th", { text: status }), said));
  }
  const table = el("table", {}, el("tbody", {}, ...rows));
  return [el("h3", { text: `${method.toUpperCase()} ${path}` }), el("p", { text: operation.summary }), table];
}

function calls(document_) {
  return document_.tags.map(({ name }) => {
    const found = Object.entries(document_.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]?.tags.includes(name)).flatMap((method) =>
        call(document_, path, method, item[method]),
      ),
    );
    return el("section", {}, el("h2", { text: name[0].toUpperCase() + name.slice(1) }), ...found);
  });
}

function messages(document_) {
  const channels = Object.values(document_.channels).flatMap((channel) => [
    el("h3", { text: channel.address }),
    el("p", { text: `${channel.title}. ${channel.description ?? ""}` }),
  ]);
  const found = Object.values(document_.components.messages).flatMap((message) => [
    el("h3", { text: message.name }),
    el("p", { text: message.title }),
    fields(message.payload),
  ]);
  return el("section", {}, el("h2", { text: "Sockets" }), ...channels, ...found);
}

function schemas(document_) {
  const found = Object.entries(document_.components.schemas).flatMap(([name, schema]) => [
    el("h3", { id: name, text: name }),
    el("p", { text: schema.description ?? "" }),
    fields(schema),
  ]);
  return el("section", {}, el("h2", { text: "Bodies and answers" }), ...found);
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

try {
  const [http, sockets] = await Promise.all([read("/openapi.json"), read("/asyncapi.json")]);
  const place = document.getElementById("description");
  place.append(el("p", { text: http.info.description }), ...calls(http), messages(sockets), schemas(http));
} catch {
  setText(document.getElementById("status"), "The descriptions could not be read; please try again.");
}
