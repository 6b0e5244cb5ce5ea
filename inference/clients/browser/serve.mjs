// Serve the demo page on this computer alone: node browser/serve.mjs [MODEL.onnx] [PORT]
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, resolve, sep } from "node:path";
import process from "node:process";

const here = import.meta.dirname;
const clients = resolve(here, "..");
const model = resolve(process.argv[2] ?? join(clients, "..", "faunalens", "faunalens.onnx"));
const port = Number(process.argv[3] ?? 8080);
const ROOTS = {
  "/web/": join(clients, "web"),
  "/vendor/onnxruntime-web/": join(clients, "node_modules", "onnxruntime-web"),
  "/": here,
};
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".mjs": "text/javascript",
  ".onnx": "application/octet-stream",
  ".wasm": "application/wasm",
};

function fileOf(path) {
  if (path === "/model.onnx") return model;
  const prefix = Object.keys(ROOTS).find((start) => path.startsWith(start));
  const file = normalize(join(ROOTS[prefix], path.slice(prefix.length) || "index.html"));
  return file.startsWith(ROOTS[prefix] + sep) && extname(file) in TYPES ? file : null;
}

const server = createServer(async (request, response) => {
  // The two that allow threads (shared memory) in the page; a host page needs them too.
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  response.setHeader("X-Content-Type-Options", "nosniff");
  try {
    const file = fileOf(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const { size } = await stat(file ?? "");
    response.writeHead(200, { "Content-Type": TYPES[extname(file)], "Content-Length": size });
    createReadStream(file).pipe(response);
  } catch {
    response.writeHead(404).end("no such file");
  }
});
server.on("error", (error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
server.listen(port, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
