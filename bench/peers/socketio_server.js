// npm `socket.io`, as it comes.
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const server = new Server(http, { cors: { origin: "*" } });

server.on("connection", (socket) => {
  const { mode, pair, role } = socket.handshake.query;
  let send = (data) => socket.emit("message", data);
  if (mode === "relay") {
    socket.join(`pair ${pair}`);
    send = (data) => socket.to(`pair ${pair}`).emit("message", data);
  } else if (mode === "fanout") {
    if (role) socket.join("receivers");
    send = (data) => server.to("receivers").emit("message", data);
  }
  socket.on("message", send);
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => console.log(`listening on ${http.address().port}`));
