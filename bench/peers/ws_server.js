// npm `ws`, without compression (its default for servers). What goes to many is sent to each, as in ws's README. With
// the argument "once" it is framed once, through what ws does not promise to keep (its issue 617), as Socket.IO does.
const { Sender, WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096 });
const waiting = new Map();
const receivers = new Set();

function broadcast(data) {
  const frame = [Buffer.concat(Sender.frame(data, { fin: true, opcode: 1 }))];
  for (const receiver of receivers) receiver._sender.sendFrame(frame);
}

function sendToEach(data) {
  for (const receiver of receivers) receiver.send(data, { binary: false });
}

const toAll = process.argv[2] === "once" ? broadcast : sendToEach;

server.on("connection", (socket, request) => {
  const query = new URL(request.url, "http://localhost").searchParams;
  const mode = query.get("mode");
  let send = (data) => socket.send(data, { binary: false });
  if (mode === "relay") {
    const pair = query.get("pair");
    const other = waiting.get(pair);
    if (other) {
      waiting.delete(pair);
      socket.other = other;
      other.other = socket;
    } else {
      waiting.set(pair, socket);
    }
    send = (data) => socket.other.send(data, { binary: false });
  } else if (mode === "fanout") {
    if (query.has("role")) receivers.add(socket);
    send = toAll;
  }
  socket.on("message", send);
  socket.on("close", () => receivers.delete(socket));
  socket.on("error", () => {});
});
server.on("listening", () => console.log(`listening on ${server.address().port}`));
