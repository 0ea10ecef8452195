// dcmjs-dimse as a peer: one SCU operation, or an SCP until it is ended. Prints one JSON object a line.
//
//   node dcmjs.js echo  PORT CALLED CALLING
//   node dcmjs.js store PORT CALLED CALLING FILE...
//   node dcmjs.js find  PORT CALLED CALLING STUDY-UID
//   node dcmjs.js move  PORT CALLED CALLING STUDY-UID DESTINATION
//   node dcmjs.js get   PORT CALLED CALLING STUDY-UID
//   node dcmjs.js scp   PORT
'use strict';

const path = require('path');

const modules = process.env.DIMSEPROXY_NODE_MODULES || path.join(__dirname, '..', '..', '.peers', 'node_modules');
const { Client, Dataset, Scp, Server, constants, log, requests, responses } = require(path.join(modules, 'dcmjs-dimse'));
const { PresentationContextResult, Status } = constants;

log.level = 'error';

const say = (object) => console.log(JSON.stringify(object));

function scu(operation, port, called, calling, words) {
  const client = new Client();
  const made = {
    echo: () => [new requests.CEchoRequest()],
    store: () => words.map((file) => new requests.CStoreRequest(file)),
    find: () => [requests.CFindRequest.createStudyFindRequest({ StudyInstanceUID: words[0], PatientName: '' })],
    move: () => [requests.CMoveRequest.createStudyMoveRequest(words[1], words[0])],
    get: () => [requests.CGetRequest.createStudyGetRequest(words[0])],
  }[operation]();
  for (const request of made) {
    request.on('response', (response) => {
      const elements = response.hasDataset() ? response.getDataset().getElements() : {};
      say({
        status: response.getStatus(),
        study: elements.StudyInstanceUID,
        completed: response.getCompleted ? response.getCompleted() : undefined,
        failed: response.getFailures ? response.getFailures() : undefined,
      });
    });
    client.addRequest(request);
  }
  client.on('cStoreRequest', (request, callback) => {
    say({ received: request.getAffectedSopInstanceUid() });
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  });
  client.on('associationRejected', (reject) =>
    say({ rejected: [reject.result, reject.source, reject.reason] }));
  client.on('networkError', (error) => {
    say({ error: error.message });
    process.exitCode = 1;
  });
  client.send('127.0.0.1', port, calling, called);
}

class Recorder extends Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    }
    this.sendAssociationAccept();
  }

  cEchoRequest(request, callback) {
    const response = responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    say({ received: request.getAffectedSopInstanceUid() });
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cFindRequest(request, callback) {
    const pending = responses.CFindResponse.fromRequest(request);
    pending.setDataset(new Dataset({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '1.2.34' }));
    pending.setStatus(Status.Pending);
    const final = responses.CFindResponse.fromRequest(request);
    final.setStatus(Status.Success);
    callback([pending, final]);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

const [operation, port, called, calling, ...words] = process.argv.slice(2);
if (operation === 'scp') {
  new Server(Recorder).listen(Number(port));
} else {
  scu(operation, Number(port), called, calling, words);
}
