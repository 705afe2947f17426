SwaggerUIBundle({url: "openapi.json", domNode: document.body});
