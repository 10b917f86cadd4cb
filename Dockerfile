# docker build -t dragoman .
# docker run --rm -p 8080:8080 --read-only --cap-drop ALL --security-opt no-new-privileges -e DRAGOMAN_API_KEY -e OPENAI_API_KEY dragoman

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY gen gen
COPY src src
RUN npm run -s build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
LABEL org.opencontainers.image.title="dragoman" org.opencontainers.image.licenses="Apache-2.0"
# A container is reached from outside, so auth must be on: the start is refused without DRAGOMAN_API_KEY or
# auth.api_keys_file. The admin port stays on loopback, for the health check and `docker exec`.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DRAGOMAN_DATA_DIR=/var/lib/dragoman
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
RUN install -d -o node -g node /var/lib/dragoman
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# With several cores: docker run ... dragoman serve --workers auto
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["serve"]
